def test_a_backup_of_the_running_stores_is_one_file_for_its_owner(hauberk, tmp_path):
    done = hauberk("backup", str(tmp_path / "b"))
    assert done.code == 0, done.err
    assert "rows of state" in done.out
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    again = hauberk("backup", str(tmp_path / "b"))
    assert again.code != 0
    assert "exists: choose another name" in again.err
