"""INF: vLLM is there, healthy, and serves the model that the agents ask for."""

from functools import partial
from typing import Any

from fixtures.checks.declaration import MUST, Gate, Link, check
from fixtures.checks.remedy import EMBEDDED, ENDPOINTS, KUBERNETES, about, do, kubectl, shell, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Component, Feature
from fixtures.core.errors import Inconclusive
from fixtures.harness.outcome import skip_unsupported
from fixtures.probes.components import Components
from fixtures.profile.amounts import holds, least, shown
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from fixtures.services.vllm import Server, Vllm, context_of, share
from tests.e2e.repairs import EVIDENCE
from tests.e2e.scaling import what_starts

VLLM_ARGUMENTS = steps(
    do("Its arguments are:", KUBERNETES),
    kubectl("-n {vllm_namespace} get {vllm_workload} -o jsonpath='{.spec.template.spec.containers[*].args}'"),
)
SERVED = steps(
    do("It serves:", ENDPOINTS), shell("curl -sS {vllm_reached}/v1/models", ENDPOINTS), do("{vllm_key}", ENDPOINTS)
)

EXPIRED = do(
    "Where the server's certificate has expired: renew it. A restart alone does not help.", KUBERNETES, ENDPOINTS
)
DEAD_ENGINE = "Where it answers with another status than 200, its engine is dead."

REPLICAS = (Feature.REPLICAS,)
NO_ROUTE = (404, 405)  # vLLM itself has /health in each version


@check(
    "INF-01",
    MUST,
    "vLLM: all replicas are ready",
    remedy=about(
        About.VLLM,
        do("See why a replica is not ready, and what its log says:", KUBERNETES),
        kubectl("-n {vllm_namespace} get {vllm_pods} -o wide"),
        kubectl("-n {vllm_namespace} describe {vllm_pods}"),
        kubectl("-n {vllm_namespace} logs {vllm_workload} --tail=50"),
        do("Where all of them are ready: the service's selector or port leads elsewhere:", KUBERNETES),
        kubectl("-n {vllm_namespace} get services,endpointslices -o wide"),
        EXPIRED,
        do("Where the specification asks for too few: see who has scaled it, a person or an autoscaler:", KUBERNETES),
        kubectl("-n {vllm_namespace} get {vllm_workload} -o yaml"),
        do("Then scale it to what the profile names (vllm.replicas):", KUBERNETES),
        kubectl("-n {vllm_namespace} scale {vllm_workload} --replicas={vllm_replicas}"),
        do("Read the model server's log, where it runs.", ENDPOINTS),
        EVIDENCE,
    ),
    concerns=(Component.VLLM,),
    cuts=(Link.VLLM,),
    impact="Agents get no completion, or wait for one, while replicas of vLLM are missing.",
    needs=REPLICAS,
    gate=Gate.ALWAYS,
)
def test_vllm_replicas_are_ready(components: Components, profile: Profile, cluster: Cluster) -> None:
    """The vLLM replicas that the specification asks for are ready, and the service leads to all of them and to nothing
    else. In Kubernetes it asks for at least as many as the profile, or for what lies between its `min` and `max`;
    during a roll-out there may be more. While one starts that a roll-out replaces, or that is asked for beyond the
    profile's, it cannot be told.

    With fewer, agents wait in a longer queue or find no model server at all. A pod of another kind that wears the same
    labels gets its share of their requests.
    """
    workload, wanted = components.workloads[Component.VLLM].get(), profile.vllm.replicas
    behind = components.vllm_endpoints.get()
    assert workload.desired, f"{workload.name}: the specification asks for 0 replicas"
    if cluster.kubernetes_target:  # else the suite itself has started the server
        enough = workload.desired >= wanted if isinstance(wanted, int) else holds(wanted, workload.desired)
        assert enough, (
            f"{workload.name}: the specification asks for {workload.desired}, the profile for {shown(wanted)}"
        )
    starting = what_starts(workload, least(wanted))
    assert starting or len(workload.ready) >= workload.desired, (
        f"{workload.name}: {len(workload.ready)} of {workload.desired} replicas are ready ({workload.not_ready})"
    )
    assert starting or behind is None or behind >= workload.desired, (
        f"{workload.name}: the service leads to {behind} of {workload.desired} ready replicas: its selector or its "
        f"port does not fit"
    )
    strangers = components.strangers_behind(Component.VLLM)
    elsewhere = f"{profile.vllm.service} leads to what is no replica of {workload.name}, too"
    require_none(strangers, elsewhere, separator=", ")
    if starting:
        raise Inconclusive(starting)
    components.vllm_version.get()  # raises where the server does not answer


def of_replica(server: Server[Any]) -> str:
    return f" ({server.replica})" if server.replica else ""


@check(
    "INF-02",
    MUST,
    "vLLM: /health answers 200",
    remedy=about(
        About.VLLM,
        do(
            "Where nothing answers: see whether its process runs, of what it ended (memory?), and whether its port is "
            "open:",
            ENDPOINTS,
        ),
        shell("curl -sS -i {vllm_reached}/health", ENDPOINTS),
        do(f"{DEAD_ENGINE} Read why:", KUBERNETES),
        kubectl("-n {vllm_namespace} logs {vllm_workload} --tail=50"),
        do("Then restart it:", KUBERNETES),
        kubectl("-n {vllm_namespace} rollout restart {vllm_workload}"),
        do(f"{DEAD_ENGINE} Read its log, then restart it.", ENDPOINTS, EMBEDDED),
        EXPIRED,
        EVIDENCE,
    ),
    concerns=(Component.VLLM,),
    cuts=(Link.VLLM,),
    impact="Agents get no completion: the server or its engine is down.",
    follows=("INF-01",),
    gate=Gate.ALWAYS,
)
async def test_vllm_is_healthy(vllm: Vllm, profile: Profile) -> None:
    """vLLM answers /health with 200, which it does only while its engine lives; so does each server behind its address.
    A gateway that leads to the API alone hides it.

    Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server/
    """
    servers = await vllm.of_each_server(Vllm.health)
    if all(server.answer in NO_ROUTE for server in servers) and profile.vllm.model in await vllm.models():
        skip_unsupported(f"{vllm.url} lists {profile.vllm.model} and has no /health: a gateway leads to the API alone")
    sick = [server for server in servers if server.answer != 200]
    statuses = " and ".join(sorted({str(server.answer) for server in sick}))
    where = f" ({share(sick, servers)})" if share(sick, servers) else ""
    require_none(
        [f"{vllm.url}/health answers {server.answer}{of_replica(server)}" for server in sick],
        text=f"{vllm.url}/health answers {statuses}, not 200{where}: the server is up, its engine is not",
    )


@check(
    "INF-03",
    MUST,
    "vLLM lists the profile's model",
    remedy=about(
        About.VLLM,
        "Serve the model under the name that the agents ask for: start vLLM with --served-model-name {model}.",
        VLLM_ARGUMENTS,
        SERVED,
    ),
    concerns=(Component.VLLM,),
    cuts=(Link.VLLM,),
    impact="Every request of an agent is refused: the model it asks for is not served.",
    follows=("INF-01", "INF-02"),
    gate=Gate.ALWAYS,
)
async def test_vllm_lists_the_model(vllm: Vllm, profile: Profile) -> None:
    """The model that agents ask for, and its aliases, are among those that vLLM serves; else completions are refused
    with 404.

    Each server behind its address must serve it: a request goes to any of them.
    """
    servers = await vllm.of_each_server(Vllm.models)
    wanted = {profile.vllm.model, *profile.vllm.aliases}
    without = [server for server in servers if wanted - set(server.answer)]
    served = " or ".join(sorted({", ".join(server.answer) or "no model" for server in without}))
    where = f" ({share(without, servers)})" if share(without, servers) else ""
    missing = ", ".join(sorted({name for server in without for name in wanted - set(server.answer)}))
    require_none(
        [
            f"vLLM at {vllm.url} serves {', '.join(server.answer) or 'no model'}, not {name}{of_replica(server)}"
            for server in without
            for name in sorted(wanted - set(server.answer))
        ],
        text=f"vLLM at {vllm.url} serves {served}, not {missing}{where}",
    )


@check(
    "INF-04",
    MUST,
    "vLLM: the model's context is the profile's",
    remedy=about(About.VLLM, "Start vLLM with --max-model-len {max_model_len}.", VLLM_ARGUMENTS, SERVED),
    concerns=(Component.VLLM,),
    cuts=(Link.VLLM,),
    impact="Long tasks are refused by vLLM: the context is smaller than the agents assume.",
    needs=(Part.CONTEXT,),
    follows=("INF-01", "INF-03"),
)
async def test_model_context(vllm: Vllm, profile: Profile) -> None:
    """The context (max_model_len, tokens) is what agents reckon with; a smaller one refuses their longer prompts.

    Each server behind vLLM's address must have it. A LoRA adapter has the context of its parent. A router's list of
    models need not say it.
    """
    model, wanted = profile.vllm.model, profile.vllm.max_model_len
    servers = await vllm.of_each_server(Vllm.models)
    missing = [server for server in servers if model not in server.answer]
    assert not missing, f"{model} is not served at {vllm.url}, with max_model_len {wanted} or any other"
    context = partial(context_of, name=profile.vllm.base or model)
    lengths = [Server(server.identity, context(server.answer), server.replica) for server in servers]
    other = [length for length in lengths if length.answer not in (0, wanted)]
    seen = " and ".join(sorted({str(length.answer) for length in other}))
    where = f" ({share(other, lengths)})" if share(other, lengths) else ""
    require_none(
        [f"{model} is served with max_model_len {server.answer}, not {wanted}{of_replica(server)}" for server in other],
        text=f"{model} is served with max_model_len {seen}, not {wanted}{where}",
    )
    if not all(length.answer for length in lengths):
        skip_unsupported(f"{vllm.url}/v1/models does not say what context {model} has, nor does a parent of it")
