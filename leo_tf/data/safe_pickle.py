"""Reader of untrusted pickles: NumPy arrays, numbers, strings, lists, tuples and dicts, nothing else.

`pickle.Unpickler` with a restricted `find_class` keeps foreign code out, but a small hostile file can still exhaust
memory (a memo index of four billion) or time (hashing nested tuples), or change the allowed functions (BUILD sets
attributes), and it would hold a published file of 1.1 GB in memory three times. This reader knows only the operations
that data needs, calls only the functions of `pickled_numpy`, and leaves large arrays in the memory-mapped file.

References: Lib/pickletools.py of CPython documents every operation.
"""

import codecs
import mmap
import pickle  # for the names of the operations only
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from leo_tf.data.pickled_numpy import GLOBALS, Global, Unbuilt
from leo_tf.errors import InputError

_LARGE = 1 << 20  # bytes; longer byte strings are left in the file
_LONGEST_INT = 16  # bytes
_MAX_EXPANSION = 2  # bytes that calls may create per byte of the file: Python 2's text is encoded, then an array


def load_pickle(path: str | Path) -> object:
    """Return the content of a pickle of any protocol, written by Python 2 or 3.

    Byte strings of Python 2 become text, as Latin-1. Arrays are read-only, and large ones are views of the
    memory-mapped file. A byte string of more than 1 MiB that is not the content of an array comes as a memoryview.

    Raises:
      InputError: the file cannot be read, is truncated or corrupt, or asks for anything but data. None of its content
        has been executed.
    """
    try:
        with open(path, "rb") as file:
            if file.seek(0, 2) == 0:
                raise ValueError("it is empty")
            return _Machine(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).run()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Expected a pickle of embeddings.") from error
    except _Forbidden as error:
        raise InputError(
            f"{path}: the pickle asks for {error}; expected only NumPy arrays, numbers, strings, lists and dicts. "
            "Reading stopped there and nothing was executed. If you made the file, save its arrays as an .npz instead."
        ) from error
    except (ValueError, LookupError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path}: not a pickle of embeddings, or a corrupt one: {str(error)[:200]}. Expected a dict with "
            "'embeddings' and 'keys'; download or write the file again."
        ) from error


class _Forbidden(Exception):
    """Error for a pickle that asks for anything but data; the message names it."""


class _Machine:
    """The stack machine that executes pickles, without the operations that create objects."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._position = 0
        self._memo: dict[int, object] = {}
        self._stack: list = []
        self._outer_stacks: list[list] = []  # one per open MARK
        self._unbuilt = 0
        self._made = 0

    def run(self) -> object:
        while (operation := self._take(1)) != pickle.STOP:
            handler = _OPERATIONS.get(operation)
            if handler is None:
                self._refuse(operation)
            else:
                handler(self)
        if len(self._stack) != 1 or self._outer_stacks or self._unbuilt:
            raise ValueError(f"it is incomplete at its end, byte {self._position}")
        return self._stack[0]

    def _refuse(self, operation: bytes) -> None:
        known = pickletools.code2op.get(operation.decode("latin1"))  # type: ignore[attr-defined]
        if known is None:
            raise ValueError(f"byte {self._position - 1} is {operation!r}, which is not an operation")
        raise _Forbidden(f"the operation {known.name}")

    # The file

    def _skip(self, size: int) -> slice:
        start, self._position = self._position, self._position + size
        if self._position > len(self._data):
            raise ValueError(f"it is truncated at byte {len(self._data)}")
        return slice(start, self._position)

    def _take(self, size: int) -> bytes:
        return self._data[self._skip(size)]

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._position)
        if end < 0:
            raise ValueError(f"it is truncated at byte {len(self._data)}")
        return self._take(end + 1 - self._position)[:-1]

    # Numbers

    def push(self, value: object) -> None:
        self._stack.append(value)

    def integer(self, size: int, signed: bool) -> None:
        self.push(int.from_bytes(self._take(size), "little", signed=signed))

    def long(self) -> None:
        size = self._unsigned(1)
        if size > _LONGEST_INT:
            raise ValueError(f"it holds an integer of {size} bytes")
        self.integer(size, signed=True)

    def integer_line(self) -> None:
        line = self._line()
        self.push(line == b"01" if line in (b"00", b"01") else int(line.removesuffix(b"L")))  # 00 and 01 are bools

    def float_(self) -> None:
        self.push(struct.unpack(">d", self._take(8))[0])

    def float_line(self) -> None:
        self.push(float(self._line()))

    # Strings

    def text(self, size_bytes: int) -> None:
        self.push(str(self._take(self._unsigned(size_bytes)), "utf-8", "surrogatepass"))

    def byte_string(self, size_bytes: int, python2: bool) -> None:
        span = self._skip(self._unsigned(size_bytes))
        if span.stop - span.start > _LARGE:
            self.push(memoryview(self._data)[span])
        else:
            self.push(str(self._data[span], "latin1") if python2 else self._data[span])

    def text_line(self) -> None:
        self.push(str(self._line(), "raw-unicode-escape"))

    def byte_string_line(self) -> None:
        line = self._line().strip()
        if len(line) < 2 or line[0] != line[-1] or line[0] not in b"'\"":
            raise ValueError("a string has no quotes")
        self.push(codecs.escape_decode(line[1:-1])[0].decode("latin1"))  # type: ignore[attr-defined]

    # Containers

    def mark(self) -> None:
        self._outer_stacks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list:
        items, self._stack = self._stack, self._outer_stacks.pop()
        return items

    def _last(self, count: int) -> list:
        if len(self._stack) < count:
            raise ValueError("it pops more from the stack than there is")
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return items

    def extend_list(self, items: list) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError("it appends to something that is not a list")
        self._stack[-1].extend(items)

    def update_dict(self, items: list) -> None:
        target, keys = self._stack[-1], items[::2]
        if type(target) is not dict or len(items) % 2 or not all(isinstance(key, (str, int)) for key in keys):
            raise ValueError("a dict has a key that is neither string nor integer")  # a nested tuple hashes for hours
        target.update(zip(keys, items[1::2], strict=True))

    def new_dict(self) -> None:
        items = self._since_mark()
        self.push({})
        self.update_dict(items)

    # Memo

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        value = self._memo.get(index)
        value = value.built if isinstance(value, Unbuilt) else value
        if value is None:  # pickle never memoizes None
            raise ValueError(f"it refers to object {index} before that exists")
        self.push(value)

    # Calls

    def global_(self, module: object, name: object) -> None:
        asked = (
            f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "a name that is not a string"
        )
        found = GLOBALS.get(asked.replace("numpy._core.", "numpy.core.", 1))
        if found is None:
            raise _Forbidden(f"{asked[:100]!a}")
        self.push(found)

    def global_lines(self) -> None:
        self.global_(self._line().decode(), self._line().decode())

    def reduce(self) -> None:
        function, arguments = self._last(2)
        if not isinstance(function, Global) or function.call is None or type(arguments) is not tuple:
            raise _Forbidden("a call of something that is not a function")
        try:
            result = function.call(*arguments)
        except TypeError as error:
            raise ValueError("it calls a NumPy function with a wrong number of arguments") from error
        self._unbuilt += isinstance(result, Unbuilt)
        self._count(result)
        self.push(result)

    def build(self) -> None:
        target, state = self._last(2)
        if not isinstance(target, Unbuilt):
            raise _Forbidden("a change of the attributes of an object")
        target.built = target.build(state)
        self._count(target.built)
        self._unbuilt -= 1
        self.push(target.built)

    def _count(self, made: object) -> None:
        """Refuse disproportionate memory: 5 bytes suffice to encode a megabyte of text once more."""
        self._made += len(made) if isinstance(made, bytes) else getattr(made, "nbytes", 0)
        if self._made > _MAX_EXPANSION * len(self._data):
            raise ValueError(f"it creates more than {_MAX_EXPANSION} bytes per byte of the file")


_OPERATIONS: Final[dict[bytes, Callable[[_Machine], object]]] = {
    pickle.PROTO: lambda m: m._skip(1),
    pickle.FRAME: lambda m: m._skip(8),  # frames help readers of streams; their content follows as usual
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.integer(4, signed=True),
    pickle.BININT1: lambda m: m.integer(1, signed=False),
    pickle.BININT2: lambda m: m.integer(2, signed=False),
    pickle.INT: _Machine.integer_line,
    pickle.LONG: _Machine.integer_line,
    pickle.LONG1: _Machine.long,
    pickle.FLOAT: _Machine.float_line,
    pickle.BINFLOAT: _Machine.float_,
    pickle.UNICODE: _Machine.text_line,
    pickle.SHORT_BINUNICODE: lambda m: m.text(1),
    pickle.BINUNICODE: lambda m: m.text(4),
    pickle.BINUNICODE8: lambda m: m.text(8),
    pickle.STRING: _Machine.byte_string_line,
    pickle.SHORT_BINSTRING: lambda m: m.byte_string(1, python2=True),
    pickle.BINSTRING: lambda m: m.byte_string(4, python2=True),
    pickle.SHORT_BINBYTES: lambda m: m.byte_string(1, python2=False),
    pickle.BINBYTES: lambda m: m.byte_string(4, python2=False),
    pickle.BINBYTES8: lambda m: m.byte_string(8, python2=False),
    pickle.BYTEARRAY8: lambda m: m.byte_string(8, python2=False),
    pickle.MARK: _Machine.mark,
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE: lambda m: m.push(tuple(m._since_mark())),
    pickle.TUPLE1: lambda m: m.push(tuple(m._last(1))),
    pickle.TUPLE2: lambda m: m.push(tuple(m._last(2))),
    pickle.TUPLE3: lambda m: m.push(tuple(m._last(3))),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.LIST: lambda m: m.push(m._since_mark()),
    pickle.APPEND: lambda m: m.extend_list(m._last(1)),
    pickle.APPENDS: lambda m: m.extend_list(m._since_mark()),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.DICT: _Machine.new_dict,
    pickle.SETITEM: lambda m: m.update_dict(m._last(2)),
    pickle.SETITEMS: lambda m: m.update_dict(m._since_mark()),
    pickle.PUT: lambda m: m.put(int(m._line())),
    pickle.BINPUT: lambda m: m.put(m._unsigned(1)),
    pickle.LONG_BINPUT: lambda m: m.put(m._unsigned(4)),
    pickle.MEMOIZE: lambda m: m.put(len(m._memo)),
    pickle.GET: lambda m: m.get(int(m._line())),
    pickle.BINGET: lambda m: m.get(m._unsigned(1)),
    pickle.LONG_BINGET: lambda m: m.get(m._unsigned(4)),
    pickle.GLOBAL: _Machine.global_lines,
    pickle.STACK_GLOBAL: lambda m: m.global_(*m._last(2)),
    pickle.REDUCE: _Machine.reduce,
    pickle.BUILD: _Machine.build,
}
