"""`--ray-auth token`: a token for each run, in a file of the run alone, and in nothing else."""

import stat
from pathlib import Path

import pytest

from fixtures.clusters.embedded.plan import EmbeddedOptions, resolved
from fixtures.clusters.embedded.processes import base_environment
from fixtures.clusters.kind.plan import KindOptions
from fixtures.clusters.kind.plan import resolved as kind_resolved
from fixtures.clusters.ray_auth import OFF, RayAuth
from fixtures.core.errors import UsageError
from fixtures.profile.credentials import Credentials, HttpAccess, resolve
from fixtures.profile.model import Profile, load
from fixtures.profile.sections import RayAuth as SuitesAuth


def profile(mode: str = "none") -> Profile:
    plain = load("embedded")
    return plain.replaced("ray", auth=plain.ray.auth.model_copy(update={"mode": mode}))


def planned(mode: str = "none", **options: str) -> RayAuth:
    return resolved(EmbeddedOptions(profile(mode), vllm="stub", **options)).ray_auth  # type: ignore[arg-type]


def test_each_run_has_a_token_of_its_own_which_no_repr_shows() -> None:
    one, other = RayAuth.of("token", "2.60.0"), RayAuth.of("token", "2.60.0")
    assert one.token and one.token != other.token
    assert one.token not in repr(one) and one.token not in repr(one.access)
    assert one.headers == {"Authorization": f"Bearer {one.token}"}


def test_parts_get_the_path_of_a_file_that_only_this_user_reads(tmp_path: Path) -> None:
    auth, file = RayAuth.of("token", "2.52.1"), tmp_path / "ray-token"
    assert auth.environment(file) == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(file)}
    assert file.read_text() == auth.token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_there_already_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "ray-token").touch()
    with pytest.raises(UsageError, match="ray-token: cannot be written"):
        RayAuth.of("token", "2.60.0").environment(tmp_path / "ray-token")


def test_without_a_token_ray_takes_none_that_lies_in_a_home(tmp_path: Path) -> None:
    auth = RayAuth.of("none", "2.60.0")
    assert auth.environment(tmp_path / "ray-token") == OFF == {"RAY_AUTH_MODE": "disabled"}
    assert not list(tmp_path.iterdir())
    assert (auth.headers, auth.access) == ({}, None)
    assert base_environment(Path("/image"), Path("/home"), Path("/tmp"), "fc-1")["RAY_AUTH_MODE"] == "disabled"


def test_an_older_ray_is_refused() -> None:
    for refused in ({"ray_auth": "token"}, {"ray_auth": "token", "ray_version": "2.49.2"}):
        with pytest.raises(UsageError, match=r"^--ray-auth token \(ray\.auth\.mode\): Ray 2\.49\.2 has no tokens"):
            planned(**refused)


def test_what_is_none_of_the_modes_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="--ray-auth kubernetes: allowed are none, token"):
        planned(ray_auth="kubernetes")


def test_a_kind_cluster_has_one_where_option_or_profile_asks_for_it() -> None:
    kind = load("kind")
    asking = kind.replaced("ray", auth=kind.ray.auth.model_copy(update={"mode": "token"}))
    plan = kind_resolved(KindOptions(asking, vllm="stub", ray_version="2.60.0"))
    assert plan.ray_auth.token and plan.profile.ray.auth.mode == "token"
    assert plan.ray_auth.token not in repr(plan)
    plan = kind_resolved(KindOptions(asking, vllm="stub", ray_version="2.60.0", ray_auth="none"))
    assert (plan.ray_auth, plan.profile.ray.auth.mode) == (RayAuth(), "none")
    plan = kind_resolved(KindOptions(kind, vllm="stub", ray_version="2.52.1", ray_auth="token"))
    assert plan.profile.ray.auth.mode == "token"


def test_a_kind_cluster_of_an_older_ray_is_refused() -> None:
    for version in (None, "2.49.2"):
        with pytest.raises(UsageError, match=r"^--ray-auth token \(ray\.auth\.mode\): Ray 2\.49\.2 has no tokens"):
            kind_resolved(KindOptions(load("kind"), vllm="stub", ray_version=version, ray_auth="token"))


def test_an_image_that_the_suite_does_not_build_has_the_profiles_ray() -> None:
    own = load("kind").replaced("ray", version="2.60.0")
    options = KindOptions(own, vllm="stub", ray_image="registry.example/ray:7", ray_auth="token")
    assert kind_resolved(options).ray_auth.token


def test_a_kept_clusters_token_is_taken_again_where_one_is_asked_for() -> None:
    auth = RayAuth.of("token", "2.60.0")
    assert auth.keeping("earlier").token == "earlier"
    assert auth.keeping("") is auth
    assert RayAuth().keeping("earlier").token == ""


def test_the_option_goes_before_the_profile() -> None:
    assert planned("token", ray_version="2.60.0").mode == "token"
    assert planned("token", ray_version="2.60.0", ray_auth="none").mode == "none"
    plan = resolved(EmbeddedOptions(profile(), vllm="stub", ray_version="2.60.0", ray_auth="token"))
    assert plan.profile.ray.auth.mode == "token", "the run's profile says what the fleet has"


def test_the_suites_requests_carry_it_and_no_report_shows_it() -> None:
    auth = RayAuth.of("token", "2.60.0")
    access = Credentials(secrets=("other",)).with_ray(auth.access)
    assert access.ray.headers == auth.headers
    assert access.secrets == ("other", auth.token)
    assert auth.token not in repr(access)
    assert "ray.auth.token" in access.ray.refusal("Ray's dashboard", 403)


@pytest.mark.parametrize("header", ["Authorization", "X-Ray-Authorization"])
def test_the_profile_says_in_which_header_a_token_goes(header: str) -> None:
    auth = SuitesAuth.model_validate({"token": {"env": "T"}, "header": header})
    asked = resolve(load("swe-ai-fleet").replaced("ray", auth=auth), {"T": "t0ken"})
    assert asked.ray.headers == asked.ray.document()["headers"] == {header: "Bearer t0ken"}
    assert asked.secrets == ("t0ken",)


def test_what_the_profile_names_counts_where_the_cluster_has_none() -> None:
    given = Credentials(ray=HttpAccess("ray.auth.token", "ray.auth.token ($T)"))
    assert given.with_ray(RayAuth().access) is given
