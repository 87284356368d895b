"""Builds the wheel (PEP 517) with the standard library alone, the same bytes each time."""

import base64
import hashlib
import pathlib
import tomllib
import zipfile

HERE = pathlib.Path(__file__).parent


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"License: {project['license']['text']}",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {each}" for each in project["dependencies"]),
        "Description-Content-Type: text/markdown",
        "",
        (HERE / project["readme"]).read_text(),
    ]
    files = {f"pollwire_device/{path.name}": path.read_bytes() for path in sorted((HERE / "pollwire_device").glob("*.py"))}
    files[f"{stem}.dist-info/METADATA"] = "\n".join(metadata).encode()
    files[f"{stem}.dist-info/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: pollwire\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{name},sha256={digest(contents)},{len(contents)}" for name, contents in files.items()]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    wheel = f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in files.items():
            # ZipInfo's time is 1980, so that two builds are alike.
            archive.writestr(zipfile.ZipInfo(name), contents, zipfile.ZIP_DEFLATED)
    return wheel


def digest(contents):
    return base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).decode().rstrip("=")


if __name__ == "__main__":
    import sys

    print(build_wheel(sys.argv[1]))
