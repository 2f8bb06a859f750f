#!/usr/bin/python3
"""GLib's answers, for the tests and for data/variant-text.tsv. Reads requests from standard input, a line each:

    parse TAB type, or empty TAB text   ->  "ok" TAB type TAB text with types TAB text without TAB bytes | "error"
    order TAB key TAB key ...           ->  the keys in the order of a GVariantDict, TAB between them
    normal TAB type TAB bytes           ->  "yes" | "no": whether these are the normal form of a value
    keyfile TAB text                    ->  "ok" TAB text of the key file after reading it | "error"

Backslash, tab, newline and carriage return within a field are escaped as in C.
"""
import os
import sys

os.close(2)  # GLib's own complaints about wrong input
import gi  # noqa: E402
from gi.repository import GLib  # noqa: E402

ESCAPES = [("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")]


def escape(text):
    for plain, escaped in ESCAPES:
        text = text.replace(plain, escaped)
    return text


def unescape(text):
    letters = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}
    parts = iter(text)
    return "".join(letters[next(parts)] if c == "\\" else c for c in parts)


def parse(ty, text):
    try:
        value = GLib.Variant.parse(GLib.VariantType(ty) if ty else None, text, None, None)
        data = value.get_data_as_bytes().get_data() or b""
        return ["ok", value.get_type_string(), value.print_(True), value.print_(False), data.hex()]
    except Exception:
        return ["error"]


def order(*keys):
    table = GLib.VariantDict.new(None)
    for key in keys:
        table.insert_value(key, GLib.Variant("b", True))
    listed = table.end()
    return [listed.get_child_value(i).get_child_value(0).get_string() for i in range(listed.n_children())]


def normal(ty, data):
    data = GLib.Bytes.new(bytes.fromhex(data))
    value = GLib.Variant.new_from_bytes(GLib.VariantType(ty), data, False)
    return ["yes" if value.is_normal_form() else "no"]


def keyfile(text):
    try:
        file = GLib.KeyFile.new()
        file.load_from_data(text, len(text.encode()), GLib.KeyFileFlags.KEEP_COMMENTS)
        return ["ok", file.to_data()[0]]
    except Exception:
        return ["error"]


for line in sys.stdin:
    request, *fields = [unescape(field) for field in line.rstrip("\n").split("\t")]
    answer = {"parse": parse, "order": order, "normal": normal, "keyfile": keyfile}[request](*fields)
    print("\t".join(map(escape, answer)))
