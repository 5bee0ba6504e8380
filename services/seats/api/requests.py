"""Bodies of requests."""

from typing import Any

from pydantic import BaseModel, Field

from services.seats.use_cases.what_if import COMMANDS_MAX, ProposedCommand


class WhatIfCommand(BaseModel):
    type: str = Field(description="The type of the command, for example `seatpool.seats.v1.add_licences` or `add_licences`.")
    data: dict[str, Any] = Field(description="The body of the command. You can leave out numbers and revisions.")
    source: str = "what-if"


class WhatIf(BaseModel):
    commands: list[WhatIfCommand] = Field(max_length=COMMANDS_MAX)

    def proposed(self) -> list[ProposedCommand]:
        return [ProposedCommand(command.type, command.data, command.source) for command in self.commands]
