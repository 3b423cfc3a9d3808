#!/bin/sh
# Installs Andon from this folder: no internet, no root, every file checked by its hash.
#   sh install.sh /opt/andon            makes an environment there; /opt/andon/bin/andon runs it
#   PYTHON=/path/to/python3.11 sh install.sh /opt/andon
#   LDAP=yes sh install.sh /opt/andon   also what [page.ldap] needs: nothing can be added later
set -eu
# A service is a user of its own, whatever root keeps to itself here.
umask 022
# What lies there would count as installed, and be missing later; so would this folder without -I.
unset PYTHONPATH PYTHONHOME

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${1:-}
# Read, not run: its hash is not known yet.
ARCH=$(sed -n 's/^ARCH=//p' "$here/made-for")
PYTHON_VERSION=$(sed -n 's/^PYTHON_VERSION=//p' "$here/made-for")

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

[ -n "$target" ] || fail "Where to? Name a folder that does not exist yet: sh install.sh /opt/andon"
[ ! -e "$target" ] || fail "$target is there already. Name another folder, or move it away first."
[ "$(uname -m)" = "$ARCH" ] || fail "This is for $ARCH, and here is $(uname -m). Make one for it: make wheelhouse ARCH=$(uname -m)"

python=${PYTHON:-}
if [ -z "$python" ]; then
  for one in "python$PYTHON_VERSION" python3 python; do
    command -v "$one" >/dev/null 2>&1 || continue
    found=$("$one" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if [ "$found" = "$PYTHON_VERSION" ]; then python=$one; break; fi
  done
fi
[ -n "$python" ] || fail "Python $PYTHON_VERSION was not found. Name it: PYTHON=/path/to/python$PYTHON_VERSION sh install.sh $target. For another version: make wheelhouse PYVER=3.12"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$found" = "$PYTHON_VERSION" ] || fail "$python is Python $found; these wheels are for $PYTHON_VERSION."

(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) || fail "A file is not what it was when this was made. Copy the folder again, and compare SHA256SUMS with the one that you were given."

say "Installing into $target"
whole=no
trap '[ $whole = yes ] || { rm -rf "$target"; say "Nothing was installed; $target was taken away again."; }' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"$python" -m venv "$target" || fail "This Python cannot make an environment. On Debian and Ubuntu: apt-get install python3-venv"
extra=
[ "${LDAP:-}" != yes ] || extra=$here/ldap.txt
# No setting of pip counts: one such as `target` or `user` would install elsewhere.
PIP_CONFIG_FILE=/dev/null "$target/bin/python" -I -m pip --isolated install --quiet --disable-pip-version-check \
  --no-index --no-cache-dir --no-compile --only-binary :all: --require-hashes --find-links "$here/wheels" \
  --requirement "$here/requirements.txt" ${extra:+--requirement "$extra"}
# What runs is compiled here, once: whoever runs it later may not write here. The rest, such as the
# tests that some packages bring, stays as it came, which saves a sixth of the disk.
"$target/bin/python" -I -c 'import edge.gateway.service, edge.gateway.app, edge.page.serving
import kb.retrieval.embed, kb.retrieval.index, models.detector, simulator.replay'
"$target/bin/python" -I -m compileall -q "$("$target/bin/python" -I -c 'import andon, os
print(os.path.dirname(andon.__path__[0]))')"/andon >/dev/null
"$target/bin/andon" --help >/dev/null
# Nothing is ever added here: an upgrade is a folder of its own.
"$target/bin/python" -I -m pip uninstall --quiet --yes --disable-pip-version-check pip
whole=yes
say "Done: $target/bin/andon --help"
