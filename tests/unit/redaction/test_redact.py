"""Secrets do not pass the redactor; harmless text passes it unchanged."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.redaction.redact import MASK, Redactor

SECRET = "hunter2secret"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJl"
SEED = "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4"

LEAKS = [
    f"nats://user:{SECRET}@nats:4222",
    f"nats://{SECRET}@nats:4222",
    f"postgres://user:pa/{SECRET}@db/name",
    f'{{"password": "{SECRET}"}}',
    f'{{\\"password\\": \\"{SECRET}\\", "x": 1}}',
    f'{{"password": "quote\\"{SECRET}"}}',
    f'"password":"{SECRET}',
    f"NATS_TOKEN={SECRET}",
    f"export OPENAI_API_KEY='{SECRET} {SECRET}'",
    f"DB_PASS={SECRET}",
    f"env: NATS_TOKEN={SECRET}",
    f"config={{'password': '{SECRET}'}}",
    f"error:12:password={SECRET}",
    f'message: "connect failed, password={SECRET}"',
    f"Authorization: Bearer {SECRET}",
    f"Authorization: {SECRET}",
    f"[(b'authorization', b'Bearer {SECRET}')]",
    f"headers={{'X-Api-Key': \"{SECRET}\"}}",
    f"got Bearer {SECRET} back",
    f"Set-Cookie: session={SECRET}; Path=/",
    f"password: {SECRET} and {SECRET}",
    f"- name: HF_TOKEN\n  value: {SECRET}",
    f'{{"name": "DB_PASSWORD", "value": "{SECRET}"}}',
    f"tls:\n  key_password: |\n    {SECRET}\n    {SECRET}\nnext: 1",
    f"--password {SECRET} --token={SECRET}",
    f"connect(password='{SECRET}', user='x')",
    f'("password", "{SECRET}")',
    f"{{'token': b'{SECRET}'}}",
    f'password = """{SECRET}"""',
    f'client_secret = "{SECRET}"',
    f"clientSecret: {SECRET}",
    f"E   -----BEGIN PRIVATE KEY-----\nE   {SECRET}\nE   -----END PRIVATE KEY-----",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n",
    f"name='refused x...TE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----')",
    f"name='refused x...PRIVATE KEY-----\\n{SECRET}\\n{SECRET}\\n-----END PRIVATE KEY-----')",
    f"E   [...]AAAA\nE   {SECRET}\nE   -----END RSA PRIVATE KEY-----",
    f"-----BEGIN NATS USER JWT-----\n{SECRET}\n------END NATS USER JWT------",
    f"replicas differ in DB_PASSWORD: {{'DB_PASSWORD': {{'orch-1': '{SECRET}', 'orch-2': '{SECRET}2'}}}}",
    f"name=DB_PASSWORD: {{'orch-1': None, 'orch-2': '{SECRET}'}} and more",
    f'password: ["a", "{SECRET}"]',
    f'password=("a", "{SECRET}")',
    f"password=(a, {SECRET})",
    f'password={{"v": [1, {{"w": ("x", "{SECRET}")}}]}}',
    f"password={{'a': 'not the end }}', 'b': '{SECRET}'}}",
    f'{{"password": {{"old": "x\\"}}", "new": "{SECRET}"}}}}',
    f'{{\\"password\\": {{\\"old\\": \\"x}}\\", \\"new\\": \\"{SECRET}\\"}}}}',
    f'{{\\"password\\": \\"quote\\\\\\"{SECRET}\\"}}',
    f"E     password={{\nE       'old': 'x',\nE       'new': '{SECRET}',\nE     }}",
    f"password={{'old': 'x', 'new': '{SECRET}",
    f"password=[(it's {SECRET}]",
    f"password=SecretStr('{SECRET}')",
    f"password=Secret(value=('x', '{SECRET}'))",
    f"password=a(b{SECRET}",
    f"password=a(b)c{SECRET}",
    f"password=(none){SECRET}",
    f"password: (none) {SECRET}",
    f"secret: {{x}}{SECRET}",
    f'("password", {{"v": "{SECRET}"}})',
    f'("password", ["{SECRET}"])',
    f'{{"name": "DB_PASSWORD", "value": ["{SECRET}"]}}',
    f'args: ["--redis-password", "{SECRET}", "--port", "6379"]',
    f"['ray', 'start', '--redis-password', '{SECRET}']",
    f'"[\\"-auth-token\\", \\"{SECRET}\\"]"',
    f'[\n  "--redis-password",\n  "{SECRET}"\n]',
    f"args:\n- --redis-password\n- {SECRET}\n- --port\n",
    f"    command:\n    - serve\n    - '-api-key'\n    - \"{SECRET}\"\n",
    f"password:\n  old: x\n  new: {SECRET}\nnext: 1",
    f"password:\n- x\n- {SECRET}\nnext: 1",
    f"-----BEGIN USER NKEY SEED-----\n{SECRET}\n------END USER NKEY SEED------",
]

HARMLESS = [
    '{"max_tokens": 32, "tokens": 5, "token_count": 3, "total_tokens": 7}',
    '"usage": {"prompt_tokens": 3, "completion_tokens": 32}, "proposal": {"tokens": 35}',
    '{"eos_token": "</s>", "pad_token": "<pad>"}',
    "time_to_first_token: 0.31",
    "key: value, primary_key=3, keys: [1, 2]",
    "--token-limit 5 and --max-tokens 32",
    "Basic connectivity, bearer of news",
    "password=$NATS_PASSWORD TOKEN=${TOKEN} secret: null token=None password=",
    "http://host:8000/v1/models?mail=a@b.c and http://127.0.0.1:4222/path@x",
    'required fields: ["token", "status"]',
    'args: ["--max-tokens", "32", "--token-limit", "5", "--redis-password", "$(REDIS_PASSWORD)"]',
    "args:\n- --max-tokens\n- 32\n- --api-key\n- --port\n- 8000\n",
    "password={} token: [] secret=() NATS_TOKEN: (not set), api_key=[ ]",
    "password=$(cat /run/secret) token: ${TOKEN} secret={secret}",
    "tls:\n  enabled: true\nservers:\n- a\n- b\n",
    "task-abcdef-ghijklmnopqrstuvwxyz, deliberation-collector-completed",
    "kubectl -n ray patch raycluster ray-gpu -p '{\"spec\": {}}'",
    "tokenizer: Qwen2, author_id: agent-1, authority: none",
    "consumer key_value bucket, monkey=1, keyboard: us",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_secret_passes(text: str) -> None:
    seen = Redactor().text(text)
    assert SECRET not in seen, f"the secret is still there: {seen}"
    assert MASK in seen


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_not_mangled(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize("secret", [JWT, SEED, "hf_abcdefghijklmnopqrst", "ghp_abcdefghijklmnopqrstuvwxyz0123"])
def test_known_shapes_are_secrets_wherever_they_stand(secret: str) -> None:
    assert secret not in Redactor().text(f"seen {secret} there")


def test_registered_values_are_found_in_every_form() -> None:
    redactor = Redactor()
    redactor.add('p"w & <x>/ü')
    forms = ['p"w & <x>/ü', json.dumps('p"w & <x>/ü'), "p&quot;w &amp; &lt;x&gt;/ü", "p%22w%20%26%20%3Cx%3E%2F%C3%BC"]
    for form in forms:
        assert redactor.shapes(f"a {form} b").replace('"', "") == f"a {MASK} b", form


def test_short_values_are_not_registered() -> None:
    redactor = Redactor()
    redactor.add("abc", "")
    assert redactor.text("abc stays") == "abc stays"


def test_redacting_twice_changes_nothing_more() -> None:
    redactor = Redactor()
    for text in LEAKS:
        once = redactor.text(text)
        assert redactor.text(once) == once


def test_data_is_judged_by_its_keys() -> None:
    data = {
        "password": "x",
        "nested": [{"name": "NATS_TOKEN", "value": "y"}],
        "secret": {"name": "nats-credentials"},
        "api_key": ["one", "two"],
        "pin_password": 123456,
        "DB_PASSWORD": {"orch-1": "x", "orch-2": {"old": ["y", ("z", 5)], "new": None}},
        "pair": ("password", {"v": "x"}),
        "tokens": 5,
        "max_tokens": 32,
        "token": 3,
    }
    assert Redactor().scrub(data) == {
        "password": MASK,
        "nested": [{"name": "NATS_TOKEN", "value": MASK}],
        "secret": {"name": MASK},
        "api_key": [MASK, MASK],
        "pin_password": MASK,
        "DB_PASSWORD": {"orch-1": MASK, "orch-2": {"old": [MASK, (MASK, MASK)], "new": None}},
        "pair": ("password", {"v": MASK}),
        "tokens": 5,
        "max_tokens": 32,
        "token": 3,
    }


def test_the_words_of_a_command_line_are_judged_by_the_option_before_them() -> None:
    data = {
        "args": ["--redis-password", SECRET, "--port", "6379", f"--auth-token={SECRET}", "--api-key", "$(KEY)"],
        "lifecycle": {"preStop": {"exec": {"command": ["redis-cli", "-pass", "x", "-auth-token", SECRET, "shutdown"]}}},
        "words": ("serve", "--api-key", SECRET, 8000),
        "one": ["--password"],
    }
    assert Redactor().scrub(data) == {
        "args": ["--redis-password", MASK, "--port", "6379", f"--auth-token={MASK}", "--api-key", "$(KEY)"],
        "lifecycle": {"preStop": {"exec": {"command": ["redis-cli", "-pass", "x", "-auth-token", MASK, "shutdown"]}}},
        "words": ("serve", "--api-key", MASK, 8000),
        "one": ["--password"],
    }
    assert Redactor().scrub(Redactor().scrub({"args": ["--password", SECRET]})) == {"args": ["--password", MASK]}


def test_a_key_that_spans_lines_of_a_list_is_found() -> None:
    lines = ["E   -----BEGIN PRIVATE KEY-----", f"E   {SECRET}", "E   -----END PRIVATE KEY-----"]
    assert SECRET not in "".join(Redactor().scrub(lines))


_LETTERS = st.text("abcxyz \\\"'(){}[],:=\n", max_size=8)
_NESTED = st.recursive(
    st.just(SECRET) | st.none() | st.integers() | _LETTERS,
    lambda below: (
        st.lists(below, max_size=3) | st.tuples(below, below) | st.dictionaries(_LETTERS, below, min_size=1, max_size=3)
    ),
    max_leaves=8,
)
_WRITTEN = st.sampled_from(
    [repr, lambda value: json.dumps(value, indent=1), lambda value: json.dumps(json.dumps(value))]
)


@given(value=_NESTED, written=_WRITTEN, name=st.sampled_from(["password", "DB_PASSWORD", "apiKey"]))
def test_nothing_below_a_secret_name_passes_however_it_is_nested(
    value: object, written: Callable[[object], str], name: str
) -> None:
    seen = Redactor().text(f"before {written({name: [value, SECRET]})} after")
    assert SECRET not in seen
    assert seen.startswith("before ")
    assert seen.endswith(" after"), "only the value is masked"
    assert SECRET not in repr(Redactor().scrub({name: value, "x": (name, value)}))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "piece", ["password=(", "password={'", "password=[(']\\", "password=($(", "password=a(", "password={} "]
)
def test_a_megabyte_of_open_brackets_takes_seconds_at_most(piece: str) -> None:
    Redactor().text(piece * (1_000_000 // len(piece)))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", ["\\", "\\\\n", "n\\", "E", "\n| ", "aaaaaaa\\"])
def test_what_may_belong_to_a_key_that_was_cut_takes_seconds_at_most(piece: str) -> None:
    text = "x " + piece * 50_000 + "-----END PRIVATE KEY-----"
    assert Redactor().text(text).endswith(MASK)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "piece",
    [
        "2026-01-01T00:00:00Z INFO raylet: node=abc resources={'CPU': 4} path=/tmp/x token_count=5\n",
        "a",
        "ab ",
        "a.b-c_",
        "a='",
        "\\",
        '\\"',
        "http://aaaa:",
        "eyJ.",
        "-",
        "--a",
        " ",
        "name   ",
        "a:\n",
        "a: ",
    ],
)
def test_a_megabyte_of_anything_takes_seconds_at_most(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert Redactor().text(text) == text
