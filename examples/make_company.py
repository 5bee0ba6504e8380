"""Make the sample company `examples/alpenrose` again: `python examples/make_company.py`. The same input, the same files, byte for byte.

Everybody in it is invented. The newest people work in Production and Sales, so that who is over the limit of the base module is over no
other limit, and the figures in alpenrose.toml can be worked out by hand.
"""

import csv
import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path

SEED = 20260302
FOLDER = Path(__file__).parent / "alpenrose"
STAFFED_ON = date(2026, 3, 2)  # everybody below is employed on this day
DEPARTMENTS = (
    ("Engineering", "Product", 22, ("Optical Engineer", "Firmware Engineer", "Mechanical Designer", "Test Engineer")),
    ("Quality", "Product", 8, ("Quality Inspector", "Calibration Technician")),
    ("Production", "Operations", 40, ("Assembler", "Machinist", "Line Lead")),
    ("Sales", "Market", 16, ("Account Manager", "Sales Engineer")),
    ("Purchasing", "Operations", 6, ("Buyer",)),
    ("Logistics", "Operations", 7, ("Planner", "Dispatcher")),
    ("Finance", "Services", 8, ("Accountant", "Controller")),
    ("People", "Services", 5, ("Recruiter", "Payroll Specialist")),
    ("Information Technology", "Services", 6, ("Systems Engineer", "Support Analyst")),
    ("Management", "Services", 4, ("Director",)),
)
NEWEST = ("Production", "Sales", "Production", "Production", "Sales", "Production", "Sales", "Production", "Production", "Sales")
FIRST = (
    "Anna Beat Carla Daniel Elif Fabio Greta Hugo Ines Jonas Katja Luca Maria Nils Olga Pavel Quentin Rosa Simon Tamara Urs Vera Walid "
    "Xenia Yann Zora Aline Bruno Chiara Dario Eva Felix Giulia Hanna Ivo Jana Kofi Lea Marco Nora"
)
LAST = (
    "Ammann Baumann Caduff Derungs Egger Furrer Gasser Huber Imhof Jenni Keller Lang Meier Nef Odermatt Pfister Rossi Schmid Tanner Unger "
    "Vogel Weber Zanetti Arslan Bianchi Costa Dubois Ferrari Garcia Hoxha Ilic Jovanovic Kaya Lopez Mueller Novak Okafor Petrov Santos Tran"
)

Stint = tuple[int, int, date, date | None]


def main() -> None:
    chance = random.Random(SEED)  # noqa: S311 - the same company every time is the point
    staff = _staff(chance)
    people, stints = _hired_before(chance, staff)
    _left_long_ago(chance, people, stints)
    _first_weeks(people, stints)
    _write("departments.csv", ("department_id", "name", "group"), ((n, name, group) for n, (name, group, *_) in enumerate(DEPARTMENTS, 1)))
    rows = (
        (number, login.replace(".", " ").title(), login, f"{login}@alpenrose.example", title, hired, int(not _gone(stints, number)))
        for number, (login, title, hired) in enumerate(people, 1)
    )
    _write("employees.csv", ("employee_id", "name", "login", "email", "job_title", "hire_date", "current"), rows)
    history = sorted(stints, key=lambda stint: (stint[0], stint[2]))
    _write("department_history.csv", ("employee_id", "department_id", "start_date", "end_date"), ((*s[:3], s[3] or "") for s in history))


def _number(department: str) -> int:
    return next(n for n, (name, *_) in enumerate(DEPARTMENTS, 1) if name == department)


def _staff(chance: random.Random) -> list[str]:
    """A department for each person, oldest hire first, the newest as listed in NEWEST."""
    left = {name: size for name, _, size, _ in DEPARTMENTS}
    for name in NEWEST:
        left[name] -= 1
    older = [name for name, size in left.items() for _ in range(size)]
    chance.shuffle(older)
    return older + list(NEWEST)


def _login(number: int) -> str:
    """Unique: the pair of names repeats only after 1,600 people."""
    firsts, lasts = FIRST.split(), LAST.split()
    first, last = firsts[number % len(firsts)], lasts[(number * 7 + number // len(firsts)) % len(lasts)]
    return f"{first}.{last}".lower()


def _title(chance: random.Random, department: str) -> str:
    return chance.choice(next(titles for name, _, _, titles in DEPARTMENTS if name == department))


def _hired_before(chance: random.Random, staff: Sequence[str]) -> tuple[list[tuple[str, str, date]], list[Stint]]:
    """Who works there on STAFFED_ON, hired one after the other since 2012; every ninth came from another department."""
    people: list[tuple[str, str, date]] = []
    stints: list[Stint] = []
    day, step = date(2012, 2, 1), (STAFFED_ON - date(2012, 2, 1)).days // (len(staff) + 2)
    for number, department in enumerate(staff, 1):
        day += timedelta(days=step + chance.randint(-9, 9))
        people.append((_login(number), _title(chance, department), day))
        moved = day + timedelta(days=400 + number)
        if number % 9 == 0 and moved < STAFFED_ON:
            stints.append((number, _number("Production" if department != "Production" else "Logistics"), day, moved - timedelta(days=1)))
            stints.append((number, _number(department), moved, None))
        else:
            stints.append((number, _number(department), day, None))
    return people, stints


def _left_long_ago(chance: random.Random, people: list[tuple[str, str, date]], stints: list[Stint]) -> None:
    """Former colleagues: in the files, but nobody hires them any more."""
    for years in (2, 4, 6):
        number = len(people) + 1
        hired = date(2026 - years - 3, 5, 1 + years)
        people.append((_login(number), _title(chance, "Production"), hired))
        stints.append((number, _number("Production"), hired, hired + timedelta(days=700)))


def _first_weeks(people: list[tuple[str, str, date]], stints: list[Stint]) -> None:
    """What happens in the weeks that the demo plays."""
    _leave(stints, _oldest(stints, "Production"), last_day=date(2026, 3, 5))
    for hired, department in ((date(2026, 3, 9), "Sales"), (date(2026, 3, 16), "Production")):
        people.append((_login(len(people) + 1), "Trainee", hired))
        stints.append((len(people), _number(department), hired, None))
    _move(stints, _oldest(stints, "Sales"), to="Engineering", since=date(2026, 3, 10))
    _move(stints, _oldest(stints, "Engineering"), to="Sales", since=date(2026, 3, 12))
    _leave(stints, _oldest(stints, "Finance"), last_day=date(2026, 3, 12))
    _move(stints, _oldest(stints, "Production"), to="Logistics", since=date(2026, 3, 17))
    _leave(stints, _oldest(stints, "Sales"), last_day=date(2026, 3, 19))


def _oldest(stints: Iterable[Stint], department: str) -> int:
    """Who has been there longest and is there still."""
    return min((since, number) for number, where, since, until in stints if until is None and where == _number(department))[1]


def _open(stints: list[Stint], number: int) -> int:
    return next(index for index, stint in enumerate(stints) if stint[0] == number and stint[3] is None)


def _leave(stints: list[Stint], number: int, last_day: date) -> None:
    index = _open(stints, number)
    stints[index] = (*stints[index][:3], last_day)


def _move(stints: list[Stint], number: int, to: str, since: date) -> None:
    _leave(stints, number, last_day=since - timedelta(days=1))
    stints.append((number, _number(to), since, None))


def _gone(stints: Iterable[Stint], number: int) -> bool:
    return all(until is not None for who, _, _, until in stints if who == number)


def _write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
