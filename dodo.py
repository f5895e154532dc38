"""doit's tasks: the videos of params/videos/, stage by stage. They come from the package hunyuan-stages."""

from pathlib import Path

from stages.commands.tasks import make_tasks

DOIT_CONFIG, task_stage, task_video = make_tasks(Path(__file__).parent)
