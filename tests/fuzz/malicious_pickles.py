"""Pickles that run code when Python loads them: by every operation that calls, and by other ways to a function."""

import pickle
import struct

SYSTEM, EVAL, EXEC = "os\nsystem", "builtins\neval", "builtins\nexec"


def text(value):
    """Return the operation that pushes a text."""
    encoded = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def name(where):
    """Return the GLOBAL of "module\\nname"."""
    return pickle.GLOBAL + where.encode() + b"\n"


def name_on_stack(where):
    """Return the STACK_GLOBAL of "module\\nname"."""
    module, _, attribute = where.partition("\n")
    return text(module) + text(attribute) + pickle.STACK_GLOBAL


def call(function, *arguments):
    """Return the REDUCE of a function's operation with arguments' operations."""
    return function + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


def malicious_pickles(marker):
    """Return {name: operations that create the file `marker`}; each leaves one object on the stack.

    Args:
      marker: path, without quotes or spaces.
    """
    command, code, path = text(f"touch {marker}"), text(f"open('{marker}', 'w').close()"), text(str(marker))
    hidden = b"\x80\x02" + call(name(SYSTEM), command) + pickle.STOP
    return {
        "reduce, os.system": call(name(SYSTEM), command),
        "reduce, posix.system": call(name("posix\nsystem"), command),
        "reduce, eval": call(name(EVAL), code),
        "reduce, eval of Python 2": call(name("__builtin__\neval"), code),
        "reduce, exec": call(name(EXEC), code),
        "reduce, open": call(name("builtins\nopen"), path, text("w")),
        "reduce, subprocess": call(name("subprocess\ncall"), pickle.MARK + text("touch") + path + pickle.LIST),
        "reduce, a pickle inside": call(name("_pickle\nloads"), b"B" + struct.pack("<I", len(hidden)) + hidden),
        "stack_global, os.system": call(name_on_stack(SYSTEM), command),
        "stack_global, eval": call(name_on_stack(EVAL), code),
        "stack_global, a dot": b"\x80\x04" + call(name_on_stack("shutil\nos.system"), command),
        "inst, os.system": pickle.MARK + command + b"i" + SYSTEM.encode() + b"\n",
        "inst, eval": pickle.MARK + code + b"i" + EVAL.encode() + b"\n",
        "obj, os.system": pickle.MARK + name(SYSTEM) + command + pickle.OBJ,
        "newobj": name("subprocess\nPopen") + pickle.MARK + pickle.MARK + text("touch") + path + b"lt" + pickle.NEWOBJ
        + pickle.POP + call(name(SYSTEM), command),
        "build": call(name("types\nSimpleNamespace")) + b"}" + text("x") + call(name(EXEC), code) + b"sb",
        "an attribute": call(call(call(name("builtins\ngetattr"), name("os\n__dict__"), text("get")), text("system")),
                             command),
    }  # fmt: skip
