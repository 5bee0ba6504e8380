"""The bodies of responses about imports, and of the guard."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.users.api.responses import CostView, DecidedModuleView, ExpansionView, FieldProblem, ReductionView, Rejected
from shared.schemas.base import Instant


class ImportCounts(BaseModel):
    """Each person of the import is one of new, changed, unchanged and invalid; `leaving` and `absent` count people apart from that."""

    new: int
    changed: int
    unchanged: int
    invalid: int
    leaving: int = Field(description="People who would lose access, now or on a later day.")
    absent: int = Field(description="People of the source who are missing from a complete import.")
    others: int = Field(0, description="Other people whose status changes, for example because a conflict about a login ends.")


class AbsentPersonView(BaseModel):
    user: str
    external_id: str


class InvalidPersonView(BaseModel):
    index: int
    external_id: str
    errors: list[FieldProblem]


class OtherPersonView(BaseModel):
    """Somebody whom the import does not change itself: a conflict with one of its people begins or ends."""

    user: str
    external_id: str
    source: str
    before: str = Field(description="The status now.")
    after: str = Field(description="The status after the import.")


class ImportModuleView(BaseModel):
    module: str
    required_before: int = Field(description="People who require the module now.")
    required: int = Field(description="People who would require the module after the import.")
    licences: int | None = Field(None, description="Null if there is no pool, or seats did not answer.")
    available: int | None = None


class DecidedPersonView(BaseModel):
    user: str
    external_id: str
    status: str = Field("", description="The status that the person would have.")
    modules: list[DecidedModuleView]


class ImportDecisions(BaseModel):
    """What seats would decide about each person whose required modules change."""

    decided: bool
    detail: str
    people: list[DecidedPersonView]
    expansions: list[ExpansionView] = Field([], description="Known if `decided`.")
    cost: CostView | None = Field(None, description="Null if no licence would be added, or its price is not known.")
    reductions: list[ReductionView] = Field([], description="Known if `decided`. `expansions` can contain the same licences.")
    saving: CostView | None = Field(None, description="What is no longer paid; null: nothing is given back, or its price is not known.")


class GuardView(BaseModel):
    would_end: int
    limit: int
    needs_confirmation: bool


class GuardSettingView(BaseModel):
    people: int
    percent: int


class DepartmentWithoutProfile(BaseModel):
    department: str | None = Field(None, description="Null: people whom the source states in no department.")
    people: int


class WithoutProfile(BaseModel):
    """Employees of the import in departments that are not in the department mapping. They have no profile, so they require no modules."""

    people: int = 0
    departments: list[DepartmentWithoutProfile] = Field([], description="The 100 with most people. `PUT …/department-mapping` maps them.")


class ImportReport(BaseModel):
    counts: ImportCounts
    absent: list[AbsentPersonView] = Field(description="The first 100 of them; `changes` has all.")
    others: list[OtherPersonView] = Field([], description="The first 100 of them.")
    invalid: list[InvalidPersonView] = Field(description="The first 100 of them; `changes` has all.")
    modules: list[ImportModuleView]
    seats: ImportDecisions
    without_profile: WithoutProfile = WithoutProfile()
    guard: GuardView


class ImportView(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    import_: str = Field(alias="import", description="The id of the import.")
    source: str
    version: int
    complete: bool
    absent: str
    status: str = Field(description="collecting, checked, applying, applied or failed")
    people: int = Field(description="The people that were uploaded.")
    done: int = Field(description="The people that are changed so far.")
    total: int = Field(description="The people that the import changes, known after the check.")
    failure: str | None = Field(None, description="Why the import is failed, and what to do.")
    report: ImportReport | None = Field(None, description="The report of the last check.")
    created_at: Instant


class UploadedPeople(BaseModel):
    accepted: int
    invalid: list[Rejected]


class FirstMatch(BaseModel):
    """How a person is matched whom the source reports for the first time."""

    outcome: str = Field(description="linked (with a person whom other sources report), conflict, or new (nobody matches)")
    by: str | None = Field(None, description="What the person was found by: login, employee_number or email.")
    reason: str | None = Field(None, description="Why the person would be in conflict.")
    people: list[str] = []


class ImportChange(BaseModel):
    """The change of one person by the import, or the reason why there is none."""

    external_id: str
    user: str
    kind: str = Field(description="new, changed, invalid or absent")
    ends: bool = Field(description="The person would lose access.")
    before: dict[str, Any] | None = Field(None, description="Status, values and modules now, and what changes on later days (`upcoming`).")
    after: dict[str, Any] | None = None
    match: FirstMatch | None = Field(None, description="Of a person whom the source reports for the first time.")
    errors: list[FieldProblem] = []
