"""What the domain needs of its stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from gateway.domain.access import Role, Tier
from gateway.domain.catalog import ModelCatalog, Price
from gateway.domain.limits import RatePolicy
from gateway.domain.marketing import Campaign
from gateway.domain.models import (
    AnalyzedAnswer,
    ApiKey,
    Brand,
    CapturedAnswer,
    FinishedCompletion,
    Key,
    PlannedCompletion,
    Prompt,
    Quota,
    Run,
    RunKind,
    StoredResponse,
)
from gateway.domain.readings import (
    AnswerFilter,
    AnswerRow,
    CachedReport,
    Findings,
    RevisionOf,
    RunMoved,
    RunStatus,
    TextPiece,
)
from gateway.domain.recommendations import Condition, Found, ListChange, SearchAnswer
from gateway.domain.rejections import Numbered, Rejection
from gateway.domain.tenants import Tenant, User
from gateway.domain.usage import Tally, UsageQuery, UsageRow, UsageSlot


class RunRepository(Protocol):
    """Runs and their projections, inside one transaction."""

    async def add_run(self, run: Run, completions: Sequence[PlannedCompletion]) -> None:
        """Store a new run with its open completions, its prompts and revision 1 of its brands."""

    async def open_like(self, tenant_id: str, input_hash: str, *, ended: bool) -> Run | None:
        """The newest run of the same input that goes on, or with ``ended`` any that is not failed.

        Another transaction that asks for the same input waits until this one ends.
        """

    async def ensure_run(self, run: Run) -> bool:
        """Store a run without completions unless it is there; whether it was new."""

    async def run_kinds(self, run_ids: Sequence[UUID]) -> Mapping[UUID, tuple[str, RunKind]]:
        """Tenant and kind of those runs that there are."""

    async def answer_owners(self, answer_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """The tenants of those answers that there are."""

    async def add_captured(self, items: Sequence[CapturedAnswer], now: datetime) -> set[UUID]:
        """Store answers from elsewhere in runs that exist; the ids of those that were new."""

    async def note_finished(self, items: Sequence[FinishedCompletion]) -> set[Key]:
        """Project how calls ended; the keys of those that are the tenants' own.

        Completions of other tenants or unknown runs are left alone.
        """

    async def note_analyzed(self, items: Sequence[AnalyzedAnswer]) -> set[Key]:
        """Project what answers name, whether or not their end has been projected yet.

        The keys of those that are the tenants' own. If a run is an import and its answer is not
        there, the analysis is kept for a while: the answer may be on its way.
        """

    async def take_early(self, answer_ids: Sequence[UUID]) -> Sequence[AnalyzedAnswer]:
        """Analyses that came before these answers; they are kept no longer."""

    async def settle(self, settled: Mapping[UUID, str], now: datetime) -> None:
        """Note what happened to runs (JSON by run) and end those with no open completion left."""

    async def add_revision(
        self, tenant_id: str, run_id: UUID, brands: Sequence[Brand] | None, now: datetime
    ) -> tuple[int, tuple[Brand, ...]] | None:
        """A new revision of a run of the tenant, with these brands or those that it has."""

    async def cancel(self, tenant_id: str, run_id: UUID, now: datetime) -> bool:
        """Note that a running run of the tenant is to end; whether this was the first time."""

    async def remembered(self, tenant_id: str, key: str) -> StoredResponse | None:
        """The answer stored under an Idempotency-Key; a concurrent use of the key waits."""

    async def remember(self, tenant_id: str, key: str, response: StoredResponse) -> None:
        """Store the answer to a request with an Idempotency-Key."""

    async def brands_by_id(self, tenant_id: str, ids: Sequence[UUID]) -> Sequence[Brand]:
        """Those of the tenant's brands that exist, in no order."""

    async def all_brands(self, tenant_id: str) -> Sequence[Brand]:
        """All brands of the tenant, by name."""

    async def named_brands(self, tenant_id: str, brands: Sequence[Brand]) -> Sequence[Brand]:
        """The same brands with the ids that the tenant knows their names by.

        A name that is new becomes a brand of the tenant; what is stored of others stays.
        """

    async def learn_catalogs(self, catalogs: Sequence[ModelCatalog]) -> None:
        """Keep the latest list of each provider."""

    async def put_campaign(self, campaign: Campaign) -> tuple[Campaign, bool]:
        """Store a campaign as it is now, later than all that is known of it; whether it is new.

        What is returned says when it changed. A deleted one that comes back is new.
        """

    async def delete_campaign(
        self, tenant_id: str, campaign_id: str, now: datetime
    ) -> Campaign | None:
        """Mark a campaign as deleted, later than all that is known of it. None if there is none."""

    async def forget_events(self, tenant_id: str, user_id: str, before: datetime) -> None:
        """Delete what the outbox still holds of what a user said and did before."""


class CampaignRepository(Protocol):
    """Campaigns of all tenants; each call is a transaction of its own."""

    async def find(self, tenant_id: str, campaign_id: str) -> Campaign | None:
        """One that is not deleted."""

    async def of_tenant(self, tenant_id: str, limit: int, after: str | None) -> Sequence[Campaign]:
        """Those that are not deleted by id, those after ``after``."""

    async def learn(self, campaigns: Sequence[Campaign]) -> None:
        """Keep of each campaign the state that changed last; again the same changes nothing."""


class RecommendationReader(Protocol):
    """Lists of recommendations, to be served."""

    async def read(self, tenant_id: str, user_ids: Sequence[str]) -> Sequence[Found]:
        """What there is for each of these users. Raises ReadModelUnready."""

    def watch(self, tenant_id: str, user_id: str) -> AbstractAsyncContextManager[Changes]:
        """Hear from now on when what a user is shown may have changed."""


class Changes(Protocol):
    """Word that something may have changed."""

    async def next(self, timeout: float) -> bool:
        """Whether there was such word within ``timeout`` seconds."""


class RecommendationWriter(Protocol):
    """The same lists, to be kept. All of it may come again, and in any order."""

    async def put(self, changes: Sequence[ListChange]) -> None:
        """Keep of each list the highest version. Raises Unavailable."""

    async def note_campaigns(self, campaigns: Sequence[Campaign]) -> None:
        """Keep of each campaign whether it may be shown, and to whom not. Raises Unavailable."""


class ReadModel(Protocol):
    """Whether the lists are complete, and who completes them. Raises Unavailable."""

    async def condition(self) -> Condition:
        """How complete the lists are."""

    async def begin(self) -> str | None:
        """Take the lease on filling them; None while another replica has it."""

    async def keep(self, lease: str) -> bool:
        """Go on holding the lease; False if it is lost, and perhaps all lists with it."""

    async def finish(self, lease: str) -> bool:
        """Say that the lists are complete; False if the lease was lost before."""


class SearchAnswers(Protocol):
    """Answers to searches, on their way from whoever reads them to whoever asked."""

    async def hand_over(self, answers: Sequence[SearchAnswer]) -> None:
        """Leave answers for those who ask, on any replica. Raises Unavailable."""

    async def wait(self, tenant_id: str, search_id: UUID, seconds: float) -> SearchAnswer | None:
        """The answer to a search of the tenant; None if none came. Raises Unavailable."""


class RunReader(Protocol):
    """Reads for the API; each is one consistent look at runs of one tenant."""

    async def status(self, tenant_id: str, run_id: UUID) -> RunStatus | None:
        """Where a run stands; None if the tenant has none of that id."""

    async def summary(self, tenant_id: str, run_id: UUID) -> RunStatus | None:
        """The same without the run's prompts, which may be many."""

    async def ended(self, run_id: UUID) -> bool:
        """Whether a run has ended."""

    async def newest(
        self, tenant_id: str, limit: int, before: tuple[datetime, UUID] | None
    ) -> Sequence[RunStatus]:
        """Runs without their prompts, from the newest on, those after ``before`` in that order."""

    async def revision(
        self, tenant_id: str, run_id: UUID, revision: int | None
    ) -> RevisionOf | None:
        """A revision of a run of the tenant, by default the latest; None if there is none."""

    async def findings(self, tenant_id: str, run_id: UUID, revision: int | None) -> Findings | None:
        """What a report is made from, by default of the latest revision."""

    async def cached_report(self, run_id: UUID, revision: int, variant: str) -> CachedReport | None:
        """A report as it was made before, if nothing happened to the run since."""

    async def cache_report(
        self, run_id: UUID, revision: int, variant: str, report: CachedReport
    ) -> None:
        """Keep a report until something happens to the run."""

    async def answers(
        self, tenant_id: str, run_id: UUID, wanted: AnswerFilter
    ) -> Sequence[AnswerRow]:
        """Answers of a run of the tenant by id, with what was found in them."""

    async def moved(self, run_id: UUID, after: int, limit: int) -> Sequence[RunMoved]:
        """What happened to a run after an ``event_seq``, in order."""

    async def prices(self, models: Sequence[str]) -> Mapping[str, Price | None]:
        """What is known of those models (``provider/model``).

        None: no provider of that name is configured, or its list has no such model. Empty as long
        as no list has arrived.
        """

    async def catalogs(self) -> Sequence[ModelCatalog]:
        """The latest list of every provider that publishes one."""

    async def prompts(self, tenant_id: str, limit: int, after: UUID | None) -> Sequence[Prompt]:
        """The tenant's prompts by id, those after ``after``."""


class BrandRepository(Protocol):
    """Brands of all tenants; each call is a transaction of its own."""

    async def of_tenant(self, tenant_id: str, limit: int, after: str | None) -> Sequence[Brand]:
        """Brands by folded name, those after ``after``."""

    async def find(self, tenant_id: str, brand_id: UUID) -> Brand | None:
        """One brand."""

    async def put(self, tenant_id: str, brand: Brand, *, by_name: bool) -> Brand | None:
        """Store a brand under its id, or ``by_name`` under the id that its name has.

        None if no brand of the tenant has that id. Raises NameTaken.
        """

    async def delete(self, tenant_id: str, brand_id: UUID) -> bool:
        """Forget a brand; runs keep their copy. False if there is none."""


class LiveText(Protocol):
    """Pieces of answers on their way from whoever reads them to whoever watches."""

    async def publish(self, pieces: Sequence[TextPiece]) -> None:
        """Hand pieces to all who watch their runs, on any replica. What is lost is lost."""

    def watch(self, tenant_id: str, run_id: UUID) -> AbstractAsyncContextManager[TextStream]:
        """Pieces of a run from now on."""


class TextStream(Protocol):
    """Pieces of the answers of one run."""

    async def next(self, timeout: float) -> TextPiece | None:
        """The next piece, None after ``timeout`` seconds without one."""


class KeyRepository(Protocol):
    """API keys of all tenants."""

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        """Store a key. Its tenant is made if there is none of that id."""

    async def add_bootstrap(self, key: ApiKey, secret_hash: bytes) -> None:
        """Store the key that makes tenants; no other key keeps the scope to do so."""

    async def by_hash(self, secret_hash: bytes) -> ApiKey | None:
        """The key with that hash, valid or not."""

    async def find(self, tenant_id: str, key_id: UUID) -> ApiKey | None:
        """A key of the tenant."""

    async def of_tenant(self, tenant_id: str) -> Sequence[ApiKey]:
        """All keys of a tenant, oldest first."""

    async def revoke(self, tenant_id: str, key_id: UUID, now: datetime) -> ApiKey | None:
        """Revoke a key of the tenant; revoking twice changes nothing. None if there is none."""


class UserRepository(Protocol):
    """Tenants and their users."""

    async def add_tenant(self, tenant: Tenant, owner: User, key: ApiKey, secret: bytes) -> None:
        """Store a tenant with its owner and the owner's first key (and its hash), all or none."""

    async def ensure_tenant(self, tenant_id: str, tier: Tier) -> None:
        """Make a tenant without users unless there is one of that id."""

    async def tenant_ids(self) -> Sequence[str]:
        """The ids of all tenants."""

    async def tenant(self, tenant_id: str) -> Tenant | None:
        """A tenant."""

    async def add(self, user: User) -> None:
        """Store a user. Raises EmailTaken."""

    async def find(self, tenant_id: str, user_id: UUID) -> User | None:
        """A user of the tenant."""

    async def of_tenant(self, tenant_id: str, limit: int, after: UUID | None) -> Sequence[User]:
        """Users of the tenant by id, those after ``after``."""

    async def set_role(self, tenant_id: str, user_id: UUID, role: Role) -> User | None:
        """Change what a user is. None if there is none. Raises LastOwner."""

    async def set_disabled(
        self, tenant_id: str, user_id: UUID, disabled_at: datetime | None
    ) -> User | None:
        """Disable (the first time counts) or enable a user. None if none. Raises LastOwner."""


class RejectionStore(Protocol):
    """What was refused of the tenants' events, and how far the DLQs have been read for it."""

    async def read_to(self) -> Mapping[tuple[str, int], int]:
        """The next offset to be read, by DLQ and partition; of those that were read before."""

    async def take_in(
        self, dlq: tuple[str, int], start: int, end: int, found: Sequence[Rejection]
    ) -> bool:
        """Store what a DLQ holds from ``start`` up to ``end``, and that it has been read.

        False, and nothing is stored, if it is not to be read from ``start`` now: another replica
        was faster. What the same service refuses again of the same place replaces what it said.
        """

    async def of_tenant(
        self, tenant_id: str, topic: str | None, limit: int, before: int | None
    ) -> Sequence[Numbered]:
        """The newest first, of one topic or of all, those with numbers under ``before``."""


class UsageStore(Protocol):
    """What keys have used."""

    async def put(self, instance: UUID, rows: Sequence[tuple[UsageSlot, Tally]]) -> None:
        """Store the totals of one process, all or none; the same again changes nothing."""

    async def read(self, query: UsageQuery) -> Sequence[UsageRow]:
        """Groups of the query, by time and then by endpoint."""


class RateLimiter(Protocol):
    """Counts requests."""

    async def spend(self, policy: RatePolicy, who: str) -> Quota:
        """Count one request of ``who``."""


class StreamSlots(Protocol):
    """How many streams each key has open, on all replicas together."""

    def slot(self, who: str, limit: int) -> AbstractAsyncContextManager[bool]:
        """Hold a slot for as long as the context is open; false if all ``limit`` are held."""
