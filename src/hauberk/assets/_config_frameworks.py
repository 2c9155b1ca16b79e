"""Marks of web applications and frameworks: facts about their file layout."""

from __future__ import annotations

from typing import NamedTuple


class Mark(NamedTuple):
    """`entry` is what the folder must hold, `file` proves it, `pattern`'s group is the version.

    A `file` with `*` is a glob whose name carries the version; without a pattern, presence proves.
    """

    name: str
    language: str
    entry: str
    file: str
    pattern: str = ""


MARKS: tuple[Mark, ...] = (
    Mark("WordPress", "PHP", "wp-includes", "wp-includes/version.php",
         r"\$wp_version\s{0,8}=\s{0,8}'([^']{1,32})'"),
    Mark("Drupal", "PHP", "core", "core/lib/Drupal.php", r"const VERSION = '([^']{1,32})'"),
    Mark("Joomla", "PHP", "administrator", "administrator/manifests/files/joomla.xml",
         r"<version>([^<]{1,32})</version>"),
    Mark("phpMyAdmin", "PHP", "libraries", "libraries/classes/Version.php",
         r"VERSION = '([^']{1,32})'"),
    Mark("Nextcloud", "PHP", "version.php", "version.php",
         r"OC_VersionString\s{0,4}=\s{0,4}'([^']{1,32})'"),
    Mark("Moodle", "PHP", "version.php", "version.php",
         r"\$release\s{1,8}=\s{0,4}'(\d[\w.+]{0,16})[^']{0,64}'"),
    Mark("MediaWiki", "PHP", "includes", "includes/Defines.php",
         r"define\( ?'MW_VERSION', ?'([^']{1,32})'"),
    Mark("Laravel", "PHP", "artisan", "composer.lock",
         r'"name": "laravel/framework",\s{0,16}"version": "v?([^"]{1,32})"'),
    Mark("Symfony", "PHP", "symfony.lock", "composer.lock",
         r'"name": "symfony/framework-bundle",\s{0,16}"version": "v?([^"]{1,32})"'),
    Mark("ThinkPHP", "PHP", "thinkphp", "thinkphp/base.php",
         r"'THINK_VERSION', '([^']{1,32})'"),
    Mark("ThinkPHP", "PHP", "think", "composer.lock",
         r'"name": "topthink/framework",\s{0,16}"version": "v?([^"]{1,32})"'),
    Mark("Discuz!", "PHP", "source", "source/discuz_version.php",
         r"'DISCUZ_VERSION', '([^']{1,32})'"),
    Mark("Zabbix frontend", "PHP", "zabbix.php", "include/defines.inc.php",
         r"'ZABBIX_VERSION',\s{1,16}'([^']{1,32})'"),
    Mark("Django", "Python", "manage.py", "manage.py", r"DJANGO_SETTINGS_MODULE"),
    Mark("Ruby on Rails", "Ruby", "Gemfile.lock", "Gemfile.lock",
         r"(?m)^    rails \((\d[\w.]{0,32})\)"),
    Mark("Apache Struts", "Java", "WEB-INF", "WEB-INF/lib/struts2-core-*.jar",
         r"struts2-core-(\d[\w.-]{0,32}?)\.jar"),
    Mark("Spring MVC", "Java", "WEB-INF", "WEB-INF/lib/spring-webmvc-*.jar",
         r"spring-webmvc-(\d[\w.-]{0,32}?)\.jar"),
    Mark("Java web application", "Java", "WEB-INF", "WEB-INF/web.xml"),
    Mark("Jenkins", "Java", "jenkins.war", "jenkins.war"),
)  # fmt: skip

# (npm package, name): run-time dependencies that make a web application.
NODE: tuple[tuple[str, str], ...] = (
    ("next", "Next.js"),
    ("nuxt", "Nuxt"),
    ("@nestjs/core", "NestJS"),
    ("express", "Express"),
    ("koa", "Koa"),
    ("fastify", "Fastify"),
    ("@hapi/hapi", "hapi"),
)

_VERSION = (
    r"(?:\[[^\]\n]{0,64}\])?[\"']?\s{0,4}(?:(?:=\s{0,2}\")?[=~^>]{1,2}\s{0,2}(\d[\w.]{0,32}))?"
)
# (name, requirement with the version as its group, what code that uses it holds).
PYTHON: tuple[tuple[str, str, str], ...] = tuple(
    (name, rf"(?im)(?:^|[\s\"'\[])[ \t]{{0,8}}{package}(?![\w-]){_VERSION}", code)
    for name, package, code in (
        ("Django", "django", r"get_wsgi_application\("),
        ("Flask", "flask", r"\bFlask\(__name__"),
        ("FastAPI", "fastapi", r"\bFastAPI\("),
        ("Tornado", "tornado", r"tornado\.web\.Application"),
        ("aiohttp", "aiohttp", r"aiohttp import web|web\.Application\("),
    )
)
