"""`make sbom`: a bill of materials in CycloneDX 1.6, of what a gateway installs and ships with.

Every locked package with the hashes of the lock and its licence as it is installed, and every model
below models/artifacts with the hash of each file. Checked against the schema before it is written.
Exit code 1 where the environment is not what the lock says.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tomllib
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from supply.locked import ARTIFACTS, ROOT, Package, Pin, installed, pins, unlike


def bill(wanted: list[Pin], there: dict[str, Package]) -> Bom:
    """The bill of a gateway."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    gateway = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        bom_ref="andon",
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )
    bom = Bom()
    bom.metadata.component = gateway
    parts = [_package(pin, there[pin.name]) for pin in wanted if pin.name in there]
    parts += [_model(folder) for folder in sorted(ARTIFACTS.iterdir()) if folder.is_dir()]
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(gateway, parts)
    return bom


def _package(pin: Pin, package: Package) -> Component:
    url = PackageURL(type="pypi", name=pin.name, version=pin.version)
    licences = [LicenseFactory().make_from_string(package.licence)] if package.licence else []
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{pin.name}=={pin.version}",
        purl=url,
        description=package.summary or None,
        licenses=licences,
        hashes=[_sha256(content) for content in pin.hashes],
    )


def _model(folder: Path) -> Component:
    """A shipped model; its files are parts of it."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    licence = folder / "LICENSE"
    apache = licence.is_file() and "Apache License" in licence.read_text(encoding="utf-8")[:400]
    return Component(
        name=folder.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{folder.name}",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")] if apache else [],
        components=[
            Component(
                name=path.name,
                type=ComponentType.FILE,
                bom_ref=f"model:{folder.name}/{path.name}",
                hashes=[_sha256(hashlib.sha256(path.read_bytes()).hexdigest())],
            )
            for path in files
        ],
    )


def _sha256(content: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=content)


def main(arguments: list[str] | None = None) -> int:
    """Write the bill; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "sbom.cdx.json")
    options = parser.parse_args(arguments)
    wanted, there = pins(), installed(options.environment)
    text = JsonV1Dot6(bill(wanted, there)).output_as_string(indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.stdout.write(f"the bill does not fit its schema: {fault}\n")
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n", encoding="utf-8")
    strays = unlike(wanted, there)
    for stray in strays:
        sys.stdout.write(f"FAULT {stray}\n")
    models = sum(path.is_dir() for path in ARTIFACTS.iterdir())
    sys.stdout.write(f"{options.out}: {len(wanted)} packages, {models} models, CycloneDX 1.6\n")
    return 1 if strays else 0


if __name__ == "__main__":
    sys.exit(main())
