"""Networks that no library has, in torch, with the conversion of their published weights."""
