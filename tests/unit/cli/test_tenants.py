import json


def test_add_and_list(hauberk):
    made = hauberk("tenants", "add", "acme", "--title", "Acme Ltd")
    assert "sign in as admin@acme, password: " in made.out
    rows = json.loads(hauberk("tenants", "list", "-o", "json").out)
    assert {"default", "acme"} <= {r["id"] for r in rows}


def test_a_bad_name_is_refused_with_what_mends_it(hauberk):
    done = hauberk("tenants", "add", "No Good!")
    assert done.code == 3
    assert "a-z 0-9 and inner hyphens" in done.err
