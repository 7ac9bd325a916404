"""Reader of untrusted pickles: NumPy arrays, numbers, strings, lists, tuples and dicts, nothing else.

`pickle.Unpickler` with a restricted `find_class` keeps foreign code out, but a small hostile file can still exhaust
memory (a memo index of four billion) or time (hashing nested tuples), or change the allowed functions (BUILD sets
attributes). This reader knows only the operations that data needs (`pickletools` documents them), calls only the
functions of `pickled_numpy`, and leaves large arrays in the memory-mapped file.
"""

import codecs
import mmap
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from leo_tf.data.pickled_numpy import GLOBALS, Global, Unbuilt
from leo_tf.errors import InputError

_LARGE = 1 << 20  # bytes; longer byte strings are left in the file
_MAX_EXPANSION = 2  # bytes that calls may create per byte of the file: Python 2's text is encoded, then an array


def load_pickle(path: str | Path) -> object:
    """Return the content of a pickle of any protocol, written by Python 2 or 3; nothing in it is executed.

    Byte strings of Python 2 become text, as Latin-1. Arrays are read-only, and large ones are views of the
    memory-mapped file. A byte string of more than 1 MiB that is not the content of an array comes as a memoryview.
    """
    try:
        with open(path, "rb") as file:
            if file.seek(0, 2) == 0:
                raise ValueError("it is empty")
            return _Machine(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).run()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Expected a pickle of embeddings.") from error
    except pickle.UnpicklingError as error:  # raised below, with what is asked for
        raise InputError(
            f"{path}: the pickle asks for {error}; expected only NumPy arrays, numbers, strings, lists and dicts. "
            "Reading stopped there and nothing was executed. If you made the file, save its arrays as an .npz instead."
        ) from error
    except (ValueError, LookupError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path}: not a pickle of embeddings, or a corrupt one: {str(error)[:200]}. Expected a dict with "
            "'embeddings' and 'keys'; download or write the file again."
        ) from error


class _Machine:
    """The stack machine that executes pickles, without the operations that create objects."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data: Any = data
        self._memo: dict[int, object] = {}
        self._stack: list = []
        self._outer_stacks: list[list] = []  # one per open MARK
        self._unbuilt = 0
        self._made = 0

    def run(self) -> object:
        while (operation := self._operation()).name != "STOP":
            name = operation.name
            if name in _SIZES:
                self._byte_string(_SIZES[name], python2=name.endswith("STRING"))
            elif name == "STRING":
                self._quoted_string()
            elif name in _VALUES or name in _OPERATIONS:
                argument = operation.arg.reader(self._data) if operation.arg else None  # checks the length
                _OPERATIONS.get(name, _Machine.push)(self, argument)
            else:
                raise pickle.UnpicklingError(f"the operation {name}")
        if len(self._stack) != 1 or self._outer_stacks or self._unbuilt:
            raise ValueError(f"it is incomplete at its end, byte {self._data.tell()}")
        return self._stack[0]

    def _operation(self) -> Any:
        code = self._data.read(1)
        if not code:
            raise ValueError(f"it is truncated at byte {len(self._data)}")
        known = pickletools.code2op.get(code.decode("latin1"))  # type: ignore[attr-defined]
        if known is None:
            raise ValueError(f"byte {self._data.tell() - 1} is {code!r}, which is not an operation")
        return known

    def _quoted_string(self) -> None:
        line: Any = pickletools.read_stringnl(self._data, decode=False, stripquotes=False)  # type: ignore[attr-defined]
        line = line.strip()
        if len(line) < 2 or line[0] != line[-1] or line[0] not in b"'\"":
            raise ValueError("a string has no quotes")
        self.push(codecs.escape_decode(line[1:-1])[0].decode("latin1"))  # type: ignore[attr-defined]

    def _byte_string(self, size_bytes: int, python2: bool) -> None:
        size = int.from_bytes(self._data.read(size_bytes), "little")
        start, end = self._data.tell(), self._data.tell() + size
        if end > len(self._data):
            raise ValueError(f"it is truncated at byte {len(self._data)}")
        self._data.seek(end)
        if size > _LARGE:
            self.push(memoryview(self._data)[start:end])
        else:
            self.push(str(self._data[start:end], "latin1") if python2 else self._data[start:end])

    def push(self, value: object) -> None:
        self._stack.append(value)

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
            raise pickle.UnpicklingError(f"{asked[:100]!a}")
        self.push(found)

    def reduce(self) -> None:
        function, arguments = self._last(2)
        if not isinstance(function, Global) or function.call is None or type(arguments) is not tuple:
            raise pickle.UnpicklingError("a call of something that is not a function")
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
            raise pickle.UnpicklingError("a change of the attributes of an object")
        target.built = target.build(state)
        self._count(target.built)
        self._unbuilt -= 1
        self.push(target.built)

    def _count(self, made: object) -> None:
        """Refuse disproportionate memory: 5 bytes suffice to encode a megabyte of text once more."""
        self._made += len(made) if isinstance(made, bytes) else getattr(made, "nbytes", 0)
        if self._made > _MAX_EXPANSION * len(self._data):
            raise ValueError(f"it creates more than {_MAX_EXPANSION} bytes per byte of the file")


# Operations whose argument is a byte string: the number of bytes of its size.
_SIZES: Final = dict(SHORT_BINSTRING=1, BINSTRING=4, SHORT_BINBYTES=1, BINBYTES=4, BINBYTES8=8, BYTEARRAY8=8)
# Operations that push their argument, as pickletools reads it.
_VALUES: Final = {
    *("INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "NONE"),
}
_OPERATIONS: Final[dict[str, Callable[[_Machine, Any], object]]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda m, _: None),  # the content of a frame follows as usual
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": lambda m, _: m.mark(),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": lambda m, _: m.push(tuple(m._since_mark())),
    "TUPLE1": lambda m, _: m.push(tuple(m._last(1))),
    "TUPLE2": lambda m, _: m.push(tuple(m._last(2))),
    "TUPLE3": lambda m, _: m.push(tuple(m._last(3))),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "LIST": lambda m, _: m.push(m._since_mark()),
    "APPEND": lambda m, _: m.extend_list(m._last(1)),
    "APPENDS": lambda m, _: m.extend_list(m._since_mark()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": lambda m, _: m.new_dict(),
    "SETITEM": lambda m, _: m.update_dict(m._last(2)),
    "SETITEMS": lambda m, _: m.update_dict(m._since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda m, _: m.put(len(m._memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": lambda m, names: m.global_(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.global_(*m._last(2)),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
}
