"""What only the mapping of the contract can get wrong, one fault for each kind of mistake."""

from __future__ import annotations

from fixtures.profile.model import load
from tests.faults.model import Fault
from tests.second_stack.cluster import FOLDER
from tests.second_stack.target import software_has
from tests.targets.injectors import Edit, Removed, workers_have

VOTER, ENVELOPES = "acme_votes/voter.py", "acme_votes/envelopes.py"
POOL, SERVICE = "clerk/pool.py", "clerk/service.py"
WHERE = "second"
PROFILE = load(str(FOLDER / "votes.toml"))
EVERY_GROUP_RUNS_AGENTS = tuple(group.model_copy(update={"runs_agents": True}) for group in PROFILE.ray.groups)
#: What has nothing to look at where no message of an agent can be read.
UNREAD = ("JOB-04", "JOB-05", "JOB-06", "JOB-07", "JOB-08", "JOB-09", "JOB-10")

FAULTS: tuple[Fault, ...] = (
    Fault(
        name="a-field-is-renamed",
        description="voters publish their office under another name",
        inject=software_has(
            Edit(VOTER, '"office": office}', '"bureau": office}'),
            Edit(VOTER, 'self.voter["office"]', 'self.voter["bureau"]'),
        ),
        expected_failures=("JOB-06",),
        expected_terms=("data.voter.office (role) is missing", "bureau"),
        where=WHERE,
    ),
    Fault(
        name="the-envelope-is-dropped",
        description="voters publish the document itself, without the envelope around it",
        inject=software_has(Edit(VOTER, "json.dumps(enveloped(subject, document))", "json.dumps(document)")),
        expected_failures=("JOB-03",),
        tolerated_failures=UNREAD,
        expected_terms=("nothing of the agent job is on the stream VOTES",),
        where=WHERE,
    ),
    Fault(
        name="a-keyword-is-renamed",
        description="the voters' method calls its question a motion",
        inject=software_has(
            Edit(
                VOTER,
                "async def cast(self, ballot: str, question: str,",
                "async def cast(self, ballot: str, motion: str,",
            ),
            Edit(VOTER, "self._cast(ballot, question, patience, limit)", "self._cast(ballot, motion, patience, limit)"),
        ),
        expected_failures=("DEP-12",),
        tolerated_failures=("JOB-02", "JOB-03", "JOB-11", "JOB-13", "JOB-14", *UNREAD),
        expected_terms=("takes no keyword question", "agent.call.question"),
        where=WHERE,
    ),
    Fault(
        name="a-duration-is-in-another-unit",
        description="voters say in milliseconds how long they took",
        inject=software_has(
            Edit(VOTER, "round(time.monotonic() - began, 3)", "round(1000 * (time.monotonic() - began), 3)")
        ),
        expected_failures=("JOB-06",),
        tolerated_failures=("JOB-08", "JOB-09", "JOB-10"),  # which hold it against the job's own timeout
        expected_terms=("data.took (duration)", "messages.completed.units", "the whole job took"),
        where=WHERE,
    ),
    Fault(
        name="both-kinds-are-on-one-subject",
        description="voters publish their failures where votes belong",
        inject=software_has(Edit(VOTER, "return SPOILED, {**head", "return CAST, {**head")),
        expected_failures=("JOB-08", "JOB-09"),
        tolerated_failures=("JOB-10",),
        expected_terms=("a failed job published a completed message",),
        where=WHERE,
    ),
    Fault(
        name="an-agent-runs-on-the-head",
        description="clerks have their voters started on Ray's head",
        inject=software_has(
            Edit(
                POOL,
                'actor_class.options(lifetime="detached")',
                'actor_class.options(lifetime="detached", num_cpus=0, resources={"node:__internal_head__": 0.001})',
            ),
            clerks=True,
        ),
        expected_failures=("ORC-17",),
        expected_terms=("ran on the head",),
        where=WHERE,
    ),
    Fault(
        name="the-second-group-lacks-the-package",
        description="the workers of the second group, on which agents run as well, lack nats-py",
        inject=workers_have(Removed("nats"), only=2),
        profile={"ray.groups": EVERY_GROUP_RUNS_AGENTS},
        expected_failures=("DEP-04",),
        tolerated_failures=("DEP-05", "JOB-01"),
        expected_terms=("nats-py", "ray-worker-3", "No module named 'nats'"),
        where=WHERE,
    ),
    Fault(
        name="the-outcome-is-never-published",
        description="clerks close ballots and tell nobody",
        inject=software_has(
            Edit(SERVICE, "await self.js.publish(CLOSED, json", 'await self.js.publish("ballots.filed", json'),
            clerks=True,
        ),
        expected_failures=("ORC-04", "E2E-01"),
        tolerated_failures=("ORC-08", "ORC-11", "ORC-12", "ORC-13", "ORC-15", "ORC-16", "ORC-18", "E2E-02", "E2E-05"),
        expected_terms=("ballots.closed", "nothing, 2 answers of 2 agents"),
        where=WHERE,
    ),
)
