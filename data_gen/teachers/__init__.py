"""Teachers: language models behind one small protocol."""

from data_gen.teachers.budget import Budget
from data_gen.teachers.budget import BudgetExceededError
from data_gen.teachers.config import open_session
from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.prices import most_tokens
from data_gen.teachers.prices import Prices
from data_gen.teachers.prices import Tokens
from data_gen.teachers.prices import tokens_of
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Message
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Sampling
from data_gen.teachers.protocol import Teacher
from data_gen.teachers.protocol import TeacherError
from data_gen.teachers.session import Limits
from data_gen.teachers.session import Session
from data_gen.teachers.session import TeacherFailedError
from data_gen.teachers.store import Spent
from data_gen.teachers.store import Store
from data_gen.teachers.store import Stored
from data_gen.teachers.store import StoreError
from data_gen.teachers.throttle import PauseTooLongError
from data_gen.teachers.usage import Usage

__all__ = [
  'Answer',
  'Budget',
  'BudgetExceededError',
  'Finish',
  'Limits',
  'Message',
  'PauseTooLongError',
  'Prices',
  'Request',
  'Sampling',
  'Session',
  'Spent',
  'Store',
  'StoreError',
  'Stored',
  'Teacher',
  'TeacherConfig',
  'TeacherError',
  'TeacherFailedError',
  'Tokens',
  'Usage',
  'most_tokens',
  'open_session',
  'tokens_of',
]
