def test_a_backup_fills_an_empty_folder_and_no_used_one(hauberk, tmp_path):
    assert hauberk("backup", str(tmp_path / "b")).code == 0
    done = hauberk("restore", str(tmp_path / "b"), "--data", str(tmp_path / "new"))
    assert done.code == 0, done.err
    assert "restored the backup of" in done.out
    assert (tmp_path / "new/server/state.db").exists()
    again = hauberk("restore", str(tmp_path / "b"), "--data", str(tmp_path / "new"))
    assert again.code != 0
    assert "already" in again.err


def test_a_file_that_is_no_backup_touches_nothing(run, tmp_path):
    (tmp_path / "b").write_bytes(b"not a backup")
    done = run("restore", str(tmp_path / "b"), "--data", str(tmp_path / "new"))
    assert done.code != 0
    assert "no backup" in done.err
    assert not (tmp_path / "new").exists()
