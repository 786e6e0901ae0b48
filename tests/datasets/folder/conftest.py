"""A table and empty files as a dataset."""

import pytest

from jukemir_like.datasets.folder.dataset import folder_dataset


@pytest.fixture
def make(tmp_path):
    """``make(table, files, **options)`` writes the table and empty files, and reads them as a dataset."""

    def build(table, files=("a.wav", "b.wav", "c.wav"), name="labels.csv", **options):
        audio = tmp_path / "audio"
        for file in files:
            (audio / file).parent.mkdir(parents=True, exist_ok=True)
            (audio / file).touch()
        labels = tmp_path / name
        labels.write_bytes(table if isinstance(table, bytes) else table.encode())
        return folder_dataset(audio, labels, **options)

    return build
