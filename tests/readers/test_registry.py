"""Which reader takes which file, and what is refused whatever the format."""

import pytest

from sigma_scale.errors import FileFormatError, SourceNotFoundError
from sigma_scale.readers import known_suffixes, read


def test_known_suffixes_are_listed():
    assert set(known_suffixes()) >= {".bcf", ".hspy", ".zspy"}


@pytest.mark.parametrize("suffix", [".bcf", ".hspy", ".zspy"])
@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"AAMVHFSS" + b"\xff" * 4096, b"<xml>"])
def test_files_of_rubbish_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"rubbish{suffix}"):
        read(path)


@pytest.mark.parametrize("name", ["none.bcf", "none.hspy", "none.zspy", "none.xyz", "none"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(SourceNotFoundError, match=name):
        read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / name))


@pytest.mark.parametrize("name", ["map.xyz", "map", "map.txt", "map.bcf.bak"])
def test_unknown_formats_are_refused_with_those_there_are(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(FileFormatError, match=rf"file .*{name}.*\.bcf, .*\.hspy, .*\.zspy"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["folder", "folder.bcf", "folder.hspy", "folder.zspy"])
def test_a_folder_that_is_no_store_is_refused(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")
    with pytest.raises(FileFormatError, match=name):
        read(folder)
