"""The fault table of docs/reliability.md, as figures: ``python -m tests.faults``, or ``make faults``.

Every case is one delivery that meets with one fault. It is driven as Airflow would drive it, with retries and a clear &
rerun at the end, and judged by what the *receiver* got.
"""
