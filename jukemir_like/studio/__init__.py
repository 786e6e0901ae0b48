"""What a studio does to sound, as functions on float32 samples: nothing here knows of music or of datasets.

``levels``, ``control`` (curves with a value every millisecond), ``convolution``; then an effect a module: ``spectrum`` (equalisers and
band limits), ``dynamics`` (compressor, limiter), ``distortion``, ``modulation`` (chorus, tremolo, drift of pitch), ``rooms``, ``noises``,
``channel`` (coarse samples), ``codec`` (few frequencies), ``mastering`` (what is measured on a mix and done to its stems alike).
"""
