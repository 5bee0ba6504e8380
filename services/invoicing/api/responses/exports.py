"""The bodies of responses about the verification of documents."""

from pydantic import BaseModel, Field


class DifferenceView(BaseModel):
    invoice: str = Field(description="The document; empty if the difference concerns all of them.")
    number: str
    what: str


class VerificationView(BaseModel):
    """The stored documents compared with what the events call for."""

    documents: int = Field(description="How many documents were compared.")
    pdfs: int = Field(description="How many PDFs were compared with their checksums.")
    different: int = Field(description="How many differences there are. 0: all documents are what the events call for.")
    differences: list[DifferenceView] = Field(description="The first 100 of them.")
