"""Steps that remedies of several checks share: each for the systems that have the means."""

from __future__ import annotations

import re

from fixtures.checks.remedy import EMBEDDED, ENDPOINTS, KUBERNETES, Remedy, about, do, kubectl, shell, steps
from fixtures.profile.remedy_values import About

RAY_PODS = "-l ray.io/cluster={ray_cluster}"

#: The fleet of this machine is gone when the run ends: there is nothing left that a command could ask.
EVIDENCE = do(
    "The evidence has the last lines of the logs. The fleet of this machine is gone: --keep-run-dir keeps all of them.",
    EMBEDDED,
)
LOGS = about(
    About.ORCHESTRATOR,
    kubectl("-n {orchestrator_namespace} get {orchestrator_pods} -o wide"),
    kubectl("-n {orchestrator_namespace} logs {orchestrator_logs} --tail=100"),
    do("Read the log of each orchestrator, where it runs.", ENDPOINTS),
    EVIDENCE,
)
MESH = about(
    About.VLLM,
    do(
        "HTTP 403 with `access denied` is a mesh's: its policy lets nobody through who asks from there. Look for an "
        "AuthorizationPolicy (Istio) or a CiliumNetworkPolicy with HTTP rules that selects vLLM's pods.",
        KUBERNETES,
    ),
)
#: What a person sets POD to, who has read which worker is meant.
WORKERS = about(About.RAY, kubectl("-n {ray_namespace} get pods " + RAY_PODS + ",ray.io/node-type=worker -o wide"))


def policies(source: About, destination: About) -> Remedy:
    """What may keep packets from their destination, in the namespace of each of the two."""
    return steps(
        about(
            source,
            do("Look for a NetworkPolicy that lets nothing out:", KUBERNETES),
            kubectl(f"-n {source.namespace} get networkpolicies"),
        ),
        about(
            destination,
            do("Look for a NetworkPolicy that lets nothing in, or a service that leads to no pod:", KUBERNETES),
            kubectl(f"-n {destination.namespace} get networkpolicies,services,endpointslices"),
        ),
    )


def restart_ray() -> Remedy:
    """Head and workers, by KubeRay: it makes the pods again from the image that the specification names."""
    return about(
        About.RAY,
        shell("{see_images}", KUBERNETES),
        do("Those of another image are to be replaced. This replaces all:", KUBERNETES),
        kubectl(f"-n {{ray_namespace}} delete pods {RAY_PODS}"),
        do("Start Ray's head and every worker again, from {image}.", ENDPOINTS),
        do("Run the suite again: each run starts its own fleet.", EMBEDDED),
    )


def _rolled_out(rebuilt: str = "") -> Remedy:
    """The patch names the head and every worker group; `rebuilt`: what must become of the images before."""
    both = (KUBERNETES, EMBEDDED)
    return about(
        About.RAY,
        shell("{see_images}", *both),
        rebuilt,
        do("{unread_groups}", KUBERNETES),
        do("{set_images}", *both),
        shell("{image_patch}", *both),
        shell("{restart_ray}", *both),
        do("Start Ray's head and every worker on {image}.", ENDPOINTS),
    )


def image(why: str = "") -> Remedy:
    """Build the image, and roll it out to the head and every worker group."""
    return about(
        About.RAY,
        "{runtime_env}",
        do(f"{why} Run it again on the custom image, with the other options of this run:", EMBEDDED),
        shell("./ci/e2e --ray-image custom", EMBEDDED),
        do("{build_and_see}", EMBEDDED),
        do(f"{why} {{build_and_see}}", KUBERNETES),
        do(f"{why} {{build}}", ENDPOINTS),
        shell("{build_image}"),
        "{pinned}",
        _rolled_out("{rebuild}"),
    )


def roll_out(why: str) -> Remedy:
    """Roll out the image that is there already."""
    return about(
        About.RAY,
        do(f"{why} Run it again on one image, with the other options of this run:", EMBEDDED),
        shell("./ci/e2e --ray-image custom", EMBEDDED),
        do("{see}", EMBEDDED),
        do(f"{why} {{see}}", KUBERNETES),
        do(why, ENDPOINTS),
        _rolled_out(),
    )


def correct_the_profile(what: str) -> Remedy:
    """What is newer than the profile is not to be replaced: the step before those that roll an image out."""
    return steps(
        f"Where all {what}, and it is the right one: correct ray.version, ray.python, ray.head_image and ray in "
        "agent.dependencies of the profile."
    )


def set_variable(name: str, why: str = "") -> Remedy:
    """Set an environment variable of the service that has it, on every replica, to the profile's value. `kubectl set
    env` restarts them.

    `name`: as the reference calls it; the remedy has what the profile calls it.
    """
    assignment, called = f"{{name_of_{name}}}={{{name}}}", f"{{name_of_{name}}}"
    return about(
        About(name),
        do(f"{{others_of_{name}}}", KUBERNETES),
        do(f"{why} See what is set:", KUBERNETES),
        kubectl(f"-n {{namespace_of_{name}}} set env {{workload_of_{name}}} --list"),
        do(f"Then set {called}, which restarts the replicas:", KUBERNETES),
        kubectl(f"-n {{namespace_of_{name}}} set env {{workload_of_{name}}} {assignment}"),
        do(f"{why} Start every {{section_of_{name}}} with {assignment}.", ENDPOINTS),
        do(f"{why} Set {called} under [{{section_of_{name}}}.environment] of the profile.", EMBEDDED),
    )


def restart_orchestrator(why: str) -> Remedy:
    return about(
        About.ORCHESTRATOR,
        why,
        do("See which replica it is:", KUBERNETES),
        LOGS,
        do("Then restart all of them:", KUBERNETES),
        kubectl("-n {orchestrator_namespace} rollout restart {orchestrator_workload}"),
        do("Then restart all of them.", ENDPOINTS),
    )


def in_service(name: str, python: str) -> Remedy:
    """A line of Python in a replica of the service that has this variable, as `set_variable` calls it; it may use
    single quotes, and neither double ones nor $."""
    return about(
        About(name),
        do(f"{{others_of_{name}}}", KUBERNETES),
        kubectl(f'-n {{namespace_of_{name}}} exec {{workload_of_{name}}} -- python -c "{python}"'),
    )


def in_worker(python: str) -> Remedy:
    """A line of Python in one of Ray's workers, as `in_service` has it."""
    return about(About.RAY, kubectl(f'-n {{ray_namespace}} exec {{worker_pod}} -- python -c "{python}"'))


def ray_cli(arguments: str) -> Remedy:
    """A command of Ray's command line: in the head's pod, or on a machine that has Ray and reaches the dashboard."""
    return about(
        About.RAY,
        kubectl(f"-n {{ray_namespace}} exec service/{{head_service}} -- ray {arguments}"),
        shell(f"ray {arguments} --address {{dashboard}}", ENDPOINTS),
        EVIDENCE,
    )


def nats_reached() -> Remedy:
    """How the commands of nats_cli() reach the server."""
    return about(
        About.NATS_PORT,
        do("Forward NATS's port in a second terminal:", KUBERNETES),
        kubectl("-n {nats_namespace} port-forward service/{nats_service} {nats_port}:{nats_port}"),
        do("{nats_tls}", KUBERNETES),
    )


def nats_cli(why: str, *commands: str) -> Remedy:
    """Commands of the nats CLI, after what they are for.

    Source of commands and flags: https://github.com/nats-io/natscli/tree/v0.3.2/cli (stream_command.go,
    consumer_command.go); those used are the same since v0.1.1, but for `consumer resume`, which is as old as NATS 2.11.
    A command about a consumer that the profile does not name is left out.
    """
    cli, consumer = "nats --server {nats_server}{nats_api}", re.compile(r"\{(\w+_consumer)\}")
    return steps(
        do(why, KUBERNETES, ENDPOINTS),
        *(
            shell(f"{cli} {words}", KUBERNETES, ENDPOINTS, about="".join(consumer.findall(words)[:1]))
            for words in commands
        ),
    )
