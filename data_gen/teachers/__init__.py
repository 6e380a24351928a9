"""Teachers: language models behind one small protocol."""

from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Message
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Sampling
from data_gen.teachers.protocol import Teacher
from data_gen.teachers.protocol import TeacherError

__all__ = [
  'Answer',
  'Finish',
  'Message',
  'Request',
  'Sampling',
  'Teacher',
  'TeacherError',
]
