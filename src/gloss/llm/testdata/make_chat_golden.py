#!/usr/bin/env python3
"""What transformers (and so jinja2) makes of the chat templates in templates/, and of many single expressions.

    python3 -m venv venv && venv/bin/pip install transformers jinja2
    venv/bin/python src/gloss/llm/testdata/make_chat_golden.py

Writes chat_golden.json and expressions_golden.json beside this file. "refused": the template's own words of raise_exception.
"""
import json
import pathlib

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).resolve().parent
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
SYSTEM = {"role": "system", "content": "  You check descriptions.\nAnswer 0 or 1. "}
USER = {"role": "user", "content": "Is \"<<bank>>\" {{ right }}?\n\n1. \"caf\u00e9 \U0001F600\"\n"}
ANSWER = {"role": "assistant", "content": " [1, 0] "}
THINKING = {"role": "assistant", "content": "<think>\nhm\n</think>\n\n[0]"}
CONVERSATIONS = {
    "user": [USER],
    "system, user": [SYSTEM, USER],
    "few-shot": [SYSTEM, USER, ANSWER, USER, ANSWER, USER],
    "without system": [USER, ANSWER, USER],
    "thinking": [SYSTEM, USER, THINKING, USER],
    "ends with assistant": [USER, THINKING],
    "two users": [USER, USER],
    "nothing said": [{"role": "user", "content": ""}],
}
EXPRESSIONS = r"""
1 + 2 * 3 - 4 // 3 + 7 % 4
'x' ~ (1 + 2) ~ 7 % 4
-7 // 2 ~ ' ' ~ -7 % 3 ~ ' ' ~ 7 // -2 ~ ' ' ~ 7 % -3
2 ** 10 ~ ' ' ~ 7 / 2 ~ ' ' ~ 6 / 2 ~ ' ' ~ (1.5 + 1) ~ ' ' ~ (0.1 + 0.2)
not true or false and true
1 < 2 and 'a' < 'b' and 2 >= 2 and not 3 != 3
'x' if false else 'y' if none else 'z'
'only' if false
'a' in 'abc' and 'd' not in ['a', 'b'] and 'k' in {'k': 1}
[1, 'two', 3.0, none, true, [4], {'k': 'v'}]
('a', 'b') | join('-')
{'a': {'b': [10, 20]}}.a.b[1] ~ {'a': 1}['a'] ~ [1, 2, 3][-1]
'hello world'[1:4] ~ 'hello'[::-1] ~ 'hello'[-3:] ~ 'hello'[:-3] ~ [1,2,3,4,5][::2]
'caf\u00e9'[3] ~ 'caf\u00e9' | length ~ '\x41\t\'"\\'
'  pad '.strip() ~ '|' ~ 'xxaxx'.strip('x') ~ '|' ~ 'xxa'.lstrip('x') ~ '|' ~ 'axx'.rstrip('x')
'a,b,c'.split(',') ~ 'a b  c '.split() ~ 'a,b,c'.split(',', 1) ~ 'a,b,c'.rsplit(',', 1)
'one\ntwo\n'.splitlines()
'abc'.startswith('ab') ~ 'abc'.endswith(('x', 'c')) ~ 'abc'.startswith('b')
'hello World'.upper() ~ 'Hello'.lower() ~ 'hello world'.title() ~ 'hELLO'.capitalize()
'aXbXc'.replace('X', '-') ~ 'aXbXc'.replace('X', '-', 1) ~ 'abc' | replace('b', '')
'banana'.count('an') ~ 'banana'.find('n') ~ 'banana'.find('z')
', '.join(['a', 'b'])
'12'.isdigit() ~ 'a1'.isdigit()
' x ' | trim ~ 'AbC' | lower ~ 'AbC' | upper ~ 'ab cd' | title ~ 'ab' | capitalize
[1, 2, 3] | length ~ {'a': 1} | count ~ '' | length
missing | default('none given') ~ '' | default('empty', true) ~ '' | d('no') ~ none | d('n', true)
{'a': [1, 'b', none, true, 1.5], 'c': {}} | tojson
{'a': [1, 'b', none], 'c': {}, 'd': []} | tojson(indent=2)
'quote " back \\ tab \t new \n <tag> & \u00e9 \u2028' | tojson
[3, 1, 2] | sort ~ [3, 1, 2] | sort(reverse=true) ~ ['b', 'a'] | first ~ [1, 2] | last
[1, 2, 3] | reverse | list ~ 'abc' | reverse
[1, 2, 2, 1] | unique | list
{'b': 2, 'a': 1} | dictsort | map('join', '=') | join(',')
{'b': 2, 'a': 1} | items | map('join', '=') | join(',')
('3' | int + 4) ~ 'x' | int ~ '2.5' | float ~ 3.9 | int ~ -3 | abs
[{'r': 'u', 'n': 1}, {'r': 's', 'n': 2}] | selectattr('r', 'equalto', 'u') | map(attribute='n') | list
[{'r': 'u'}, {'r': 's'}] | rejectattr('r', 'equalto', 'u') | list
[1, 2, 3, 4] | select('even') | list ~ [1, 2, 3] | reject('gt', 2) | list
[0, 1, '', 'a', none] | select | list
['a', 'b'] | map('upper') | join
'a\nb\n\nc' | indent(2) ~ 'a\nb' | indent(width=3, first=true)
missing is defined ~ missing is undefined ~ none is none ~ missing is none
'a' is string ~ 1 is number ~ true is boolean ~ 1 is integer ~ 1.0 is float ~ {} is mapping ~ [] is sequence ~ 'a' is iterable
4 is even ~ 3 is odd ~ 9 is divisibleby 3 ~ 9 is divisibleby(2) ~ true is true ~ 1 is true ~ false is false
1 is eq 1 ~ 1 is ne 2 ~ 'a' is in ['a'] ~ 'b' is not in ['a'] ~ 2 is gt(1) ~ 2 is lt 1
not missing is defined
missing ~ '|' ~ missing.__class__ if false else missing ~ '|'
[] == [] and {} == {} and [1] != [2] and 1 == 1.0 and true == 1 and 'a' != 1 and none == none
range(5) | list ~ range(2, 8, 3) | list ~ range(3, 0, -1) | list
dict(a=1, b='x')
'ab' * 3 ~ [1] * 2
'con' 'cat' "enated"
{'a': 1}.get('a') ~ {'a': 1}.get('b') ~ {'a': 1}.get('b', 'c') ~ {'a': 1, 'b': 2}.keys() | list ~ {'a': 1}.values() | list
{'items': 3}['items'] ~ {'role': 'user'}.role
none ~ true ~ false ~ 1.0 ~ 100000000000000000000.0 ~ 1e-7
(1, 2) | length ~ () | length
"it's" ~ ["it's", 'say "hi"', 'both \' and "', 'new\nline']
-2 | abs ~ - 3 + 5 ~ +4
""".strip().split("\n")


def env_of(text):
    return _compile_jinja_template(text)


def render(template, **variables):
    try:
        return {"text": template.render(**variables)}
    except jinja2.exceptions.TemplateError as e:
        return {"refused": str(e)}


def main():
    golden = []
    for file in sorted((HERE / "templates").glob("*.jinja")):
        template = env_of(file.read_text())
        for name, messages in CONVERSATIONS.items():
            result = render(template, messages=messages, add_generation_prompt=True, enable_thinking=False, tools=None,
                            documents=None, **TOKENS)
            golden.append({"template": file.name, "conversation": name, "messages": messages, **result})
    (HERE / "chat_golden.json").write_text(json.dumps({"tokens": TOKENS, "cases": golden}, indent=1) + "\n")
    expressions = []
    for source in EXPRESSIONS:
        expressions.append({"source": source, **render(env_of("{{ " + source + " }}"))})
        assert "text" in expressions[-1], expressions[-1]
    (HERE / "expressions_golden.json").write_text(json.dumps(expressions, indent=1) + "\n")
    print(f"{len(golden)} conversations, {len(expressions)} expressions; transformers {transformers.__version__}, jinja2 {jinja2.__version__}")


if __name__ == "__main__":
    main()
