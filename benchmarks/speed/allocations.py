"""How many arrays something makes, and of how many bytes together, whether they are dropped or not.

numpy asks a handler for the memory of every array (NEP 49). Ours counts what is asked for and hands
it on to the one that was there. It is installed through numpy's table of C functions, whose places
are part of its binary interface.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from numpy._core import _multiarray_umath  # type: ignore[attr-defined] # has no stub

if TYPE_CHECKING:
    from collections.abc import Callable

SET_HANDLER: Final = 304  # PyDataMem_SetHandler
GET_HANDLER: Final = 305  # PyDataMem_GetHandler
CAPSULE: Final = b"mem_handler"

_size, _at = ctypes.c_size_t, ctypes.c_void_p
# numpy holds the lock of the interpreter here, and goes on holding it
_Malloc = ctypes.PYFUNCTYPE(_at, _at, _size)
_Calloc = ctypes.PYFUNCTYPE(_at, _at, _size, _size)
_Realloc = ctypes.PYFUNCTYPE(_at, _at, _at, _size)


class _Handler(ctypes.Structure):
    """PyDataMem_Handler. `free` stays the one that was there, so that none is ours to keep."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("ctx", _at),
        ("malloc", _Malloc),
        ("calloc", _Calloc),
        ("realloc", _Realloc),
        ("free", _at),
    )


class Made(NamedTuple):
    """Arrays that were made, and their bytes together."""

    arrays: int
    size_bytes: int


def made_by(work: Callable[[], object]) -> Made:
    """Arrays that `work` makes in this thread; an array that grows in place counts as one more."""
    before = _pointed(_c_function(GET_HANDLER, ctypes.py_object)())
    sizes: list[int] = []

    def malloc(ctx: int, size: int) -> int | None:
        sizes.append(size)
        given: int | None = before.malloc(ctx, size)
        return given

    def calloc(ctx: int, count: int, size: int) -> int | None:
        sizes.append(count * size)
        given: int | None = before.calloc(ctx, count, size)
        return given

    def realloc(ctx: int, held: int, size: int) -> int | None:
        sizes.append(size)
        given: int | None = before.realloc(ctx, held, size)
        return given

    counting = _Handler(
        name=b"andon_counting",
        version=before.version,
        ctx=before.ctx,
        malloc=_Malloc(malloc),
        calloc=_Calloc(calloc),
        realloc=_Realloc(realloc),
        free=before.free,
    )
    # an array keeps the handler that it came from, maybe to the end of the process
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(counting))
    new_capsule = ctypes.pythonapi.PyCapsule_New
    new_capsule.restype, new_capsule.argtypes = ctypes.py_object, (_at, ctypes.c_char_p, _at)
    install = _c_function(SET_HANDLER, ctypes.py_object, ctypes.py_object)
    previous = install(new_capsule(ctypes.addressof(counting), CAPSULE, None))
    try:
        work()
    finally:
        install(previous)
    return Made(len(sizes), sum(sizes))


def _c_function(place: int, *types: Any) -> Callable[..., Any]:  # noqa: ANN401 - ctypes' types
    """A function of numpy's table, with the types of what it returns and takes."""
    table = _pointer_of(_multiarray_umath._ARRAY_API, None)  # noqa: SLF001 - what C code imports
    address = ctypes.cast(table, ctypes.POINTER(_at))[place]
    made: Callable[..., Any] = ctypes.PYFUNCTYPE(*types)(address)
    return made


def _pointed(capsule: object) -> _Handler:
    """The handler in a capsule."""
    return ctypes.cast(_pointer_of(capsule, CAPSULE), ctypes.POINTER(_Handler)).contents


def _pointer_of(capsule: object, name: bytes | None) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = _at, (ctypes.py_object, ctypes.c_char_p)
    found: int = get(capsule, name)
    return found
