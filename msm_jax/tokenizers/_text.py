"""What every tokenizer asks of a text."""


def check_is_unicode(text: str, where: str = 'the text') -> None:
  """Refuses lone surrogates, which no file in UTF-8 can hold.

  Raises:
    ValueError: Naming the first one and its place.
  """
  if text.isascii():
    return
  try:
    text.encode('utf-8')
  except UnicodeEncodeError as e:
    raise ValueError(
      f'character {e.start} of {where} is the lone surrogate '
      f'{text[e.start]!a}, which is not valid Unicode'
    ) from e
