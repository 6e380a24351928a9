"""The offline teacher: deterministic, without a network."""

from data_gen.teachers.offline.teacher import OfflineTeacher
from data_gen.teachers.offline.teacher import TASKS

__all__ = ['TASKS', 'OfflineTeacher']
