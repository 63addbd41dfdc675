"""A simulated Roboflow API: a world from a seed, a real HTTP server, faults on demand and the truth."""

from etl.simulator.evolution import Event
from etl.simulator.faults import Delivery, Fault, Faults, Rule, Shape
from etl.simulator.process import SimulationSettings, serve
from etl.simulator.project import Project
from etl.simulator.rows import Batch, Job
from etl.simulator.server import Requests, ServerSettings, Simulator
from etl.simulator.truth import (
    BatchTruth,
    JobTruth,
    ProjectTruth,
    Truth,
    job_truth,
    project_truth,
    truth_of,
)
from etl.simulator.world import World

__all__ = [
    "Batch",
    "BatchTruth",
    "Delivery",
    "Event",
    "Fault",
    "Faults",
    "Job",
    "JobTruth",
    "Project",
    "ProjectTruth",
    "Requests",
    "Rule",
    "ServerSettings",
    "Shape",
    "SimulationSettings",
    "Simulator",
    "Truth",
    "World",
    "job_truth",
    "project_truth",
    "serve",
    "truth_of",
]
