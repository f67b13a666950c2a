"""Takes out of an observation what may differ between two right answers: dates, durations, random ids, port numbers."""

import functools
import re
import socket

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
LOCAL = re.compile(r"(127\.0\.0\.1|localhost|a\.test|b\.test):(\d{4,5})\b")
HTTP_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
DEFAULT_LOG = re.compile(r'^(\[<time>\] ".*? \S+" \d+ \S+ \d+ \d+) \d+ (\d+|-) ')
DURATION_KEYS = re.compile(r"(duration|time|_ms)$")


def normal(value, names, key=""):
    """The same observation without what is random. `names` maps port numbers of this side to words."""
    if isinstance(value, dict):
        return {one: normal(inner, names, one) for one, inner in value.items()}
    if isinstance(value, list):
        items = [normal(inner, names, key) for inner in value]
        if key in ("headers", "trailers") and all(isinstance(one, list) and len(one) == 2 for one in items):
            # A multiset that keeps the order within a name.
            return sorted((header(*one) for one in items), key=lambda one: one[0].lower())
        return items
    if isinstance(value, str):
        return text(value, names)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and DURATION_KEYS.search(key):
        return "<number>"
    return value


def header(name, value):
    low = name.lower()
    if low == "x-envoy-upstream-service-time" and value.isdigit():
        value = "<ms>"
    elif low == "x-forwarded-for" and own_address():
        # For a peer on loopback Envoy appends its host's address instead of the peer's; which one that is says nothing.
        value = value.replace(own_address(), "127.0.0.1")
    elif low == "x-envoy-expected-rq-timeout-ms" and value.isdigit():
        # What is left of the timeout at a later attempt; the time that passed is not part of the comparison.
        step = 250 if int(value) > 1000 else 100
        value = str(-(-int(value) // step) * step)
    return [name, value]


@functools.cache
def own_address():
    """The address of this host that Envoy takes for its own; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return ""


def text(value, names):
    value = HTTP_DATE.sub("<date>", TIME.sub("<time>", UUID.sub("<uuid>", value)))
    value = LOCAL.sub(lambda found: f"{found[1]}:<{names.get(int(found[2]), 'ephemeral')}>", value)
    return DEFAULT_LOG.sub(r"\1 <ms> <ms> ", value)


def flat(value, path=""):
    """`{path: leaf}` of a nested observation, for printing differences."""
    if isinstance(value, dict):
        out = {}
        for key, inner in value.items():
            out.update(flat(inner, f"{path}.{key}" if path else str(key)))
        return out or {path: "{}"}
    if isinstance(value, list):
        if value and all(isinstance(one, list) and len(one) == 2 and all(isinstance(x, str) for x in one) for one in value):
            out, count = {}, {}
            for name, inner in value:
                count[name] = count.get(name, 0) + 1
                out[f"{path}.{name}" + (f"#{count[name]}" if count[name] > 1 else "")] = inner
            return out
        out = {}
        for index, inner in enumerate(value):
            out.update(flat(inner, f"{path}[{index}]"))
        return out or {path: "[]"}
    return {path: value}


def difference(left, right, ignore=()):
    """Lines `path: left | right` for every leaf that is not equal."""
    one, two = flat(left), flat(right)
    lines = []
    for path in sorted(set(one) | set(two)):
        if one.get(path) != two.get(path) and not any(re.search(pattern, path) for pattern in ignore):
            lines.append(f"{path}: {show(one.get(path))} | {show(two.get(path))}")
    return lines


def show(value):
    if value is None:
        return "-"
    printed = repr(value) if isinstance(value, str) else str(value)
    return printed if len(printed) < 160 else printed[:157] + "..."
