"""Package URLs."""

import pytest

from hauberk.assets._purl import npm_purl, purl, pypi_name


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            purl(
                "deb",
                "libstdc++6",
                "12.2.0-14+deb12u1",
                namespace="debian",
                qualifiers={"arch": "amd64", "distro": "debian-12"},
            ),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
        ),
        (purl("deb", "vim", "2:9.0.1378-2", namespace="debian"), "pkg:deb/debian/vim@2:9.0.1378-2"),
        (purl("rpm", "x", "1~rc1-1", qualifiers={"epoch": "", "arch": ""}), "pkg:rpm/x@1~rc1-1"),
        (
            purl("maven", "log4j-core", "2.17.1", namespace="org.apache.logging.log4j"),
            "pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1",
        ),
        (npm_purl("@angular/core", "17.0.0"), "pkg:npm/%40angular/core@17.0.0"),
        (npm_purl("left-pad", ""), "pkg:npm/left-pad"),
        (purl("gem", "", "1"), ""),
        (purl("gem", "a/b c#d?e@f", "1"), "pkg:gem/a%2Fb%20c%23d%3Fe%40f@1"),
        (purl("gem", "包", "1"), "pkg:gem/%E5%8C%85@1"),
    ],
)
def test_form(made, expected):
    assert made == expected


def test_python_names_are_normalised():
    assert pypi_name("Foo__Bar.-baz") == "foo-bar-baz"
