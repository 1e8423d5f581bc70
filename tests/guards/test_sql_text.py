"""SQL is static text that opens with what it answers, and every statement fits the migrated database."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from django.db import connection, transaction

from scorer_fast.db import functions
from tests.guards.statements import constants, modules

NAMES = sorted(constants())
PARAMETER = re.compile(r"%\((\w+)\)s")
KEYWORDS = (
    "select|from|where|and|or|not|insert into|values|update|set|delete|join|left join|on|order by|group by|with|"
    "as|is null|exists|in|case|when|then|else|end|returning|limit|union all|cross join"
)


def body(statement: str) -> str:
    """A statement without its comments, its parameters and its texts in quotes."""
    lines = [line for line in PARAMETER.sub("$1", statement).splitlines() if not line.strip().startswith("--")]
    return re.sub(r"'[^']*'|\"[^\"]*\"", "''", "\n".join(lines))


def test_there_are_statements() -> None:
    assert len(NAMES) > 30


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_with_a_comment_of_its_own(name: str) -> None:
    opening = constants()[name].strip().splitlines()[0]
    assert re.match(r"-- [a-z]", opening)
    same = [other for other in NAMES if constants()[other].strip().splitlines()[0] == opening]
    assert same == [name]


@pytest.mark.parametrize("name", NAMES)
def test_its_parameters_are_named_and_nothing_else_is_percent(name: str) -> None:
    without = PARAMETER.sub("", constants()[name]).replace("%%", "")
    assert "%" not in without, "a percent sign that is no %(name)s"
    assert "{}" not in without.replace("'{}'", ""), "a place for str.format"


@pytest.mark.parametrize("name", NAMES)
def test_keywords_are_upper_case_and_columns_are_named(name: str) -> None:
    text = body(constants()[name])
    assert not re.findall(rf"(?<![\w.])(?:{KEYWORDS})(?![\w.(])", text)
    assert not re.search(r"SELECT\s+(?:\w+\.)?\*\s+FROM\s+(?!posted|stamps|\()", text), "SELECT *"


def test_no_statement_is_put_together() -> None:
    """No f-string, no ``+``, no ``%`` and no ``format`` where a statement is written or sent."""
    found = []
    for name in modules().values():
        path = Path(str(importlib.import_module(name).__file__))
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                written = isinstance(node.value, ast.Constant)
                for target in targets:
                    opens = f"{path.stem}.{ast.unparse(target)}" in constants()
                    if opens and not written:
                        found.append(f"{where} {ast.unparse(target)} is no plain text")
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".format", ".execute")):
                inner = [ast.unparse(argument) for argument in node.args[:1]]
                if ast.unparse(node.func).endswith(".format") or inner != ["statement"]:
                    found.append(f"{where} {ast.unparse(node)[:80]}")
    assert not found


FORMS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_the_database_accepts_it(name: str) -> None:
    """Parsed and planned on the migrated schema, whatever its parameters are: names, types and functions fit."""
    statement = constants()[name]
    parameters = dict.fromkeys(PARAMETER.findall(statement))
    if body(statement).strip().startswith(FORMS):
        statement = "EXPLAIN " + statement
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        transaction.set_rollback(True)


def test_every_function_that_has_a_file_is_made_where_one_is_missing() -> None:
    assert sorted(functions.NAMES) == sorted(path.stem for path in functions.FOLDER.glob("*.sql"))


SEARCHED = """
SELECT p.proname, c.setting
FROM pg_proc AS p
LEFT JOIN LATERAL unnest(p.proconfig) AS c (setting) ON starts_with(c.setting, 'search_path=')
WHERE starts_with(p.proname, 'scorer_fast_')
  AND p.prorettype <> 'trigger'::regtype  -- names no table
"""


@pytest.mark.django_db
def test_functions_find_names_where_the_migration_did() -> None:
    """``SET search_path FROM CURRENT`` keeps what is set: a migration names the schemas before it makes a function."""
    with connection.cursor() as cursor:
        cursor.execute(SEARCHED)
        found = dict(cursor.fetchall())
        cursor.execute("SELECT current_schema()")
        (schema,) = cursor.fetchone()
    assert found == dict.fromkeys(found, f"search_path={schema}")
    assert found
