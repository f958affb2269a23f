"""The Python SDK: what a program needs to use the city, and no Django.

from suanwang.sdk import City

city = City("http://127.0.0.1:8730", key="sw_…")
job = city.submit(name="hello", script="echo hello", cores=1, memory_mib=256)
for text in city.follow(job["id"]):
    print(text, end="")
"""

from suanwang.sdk.city import City
from suanwang.sdk.errors import CityError, CityUnreachable, RefusedByCity

__all__ = ["City", "CityError", "CityUnreachable", "RefusedByCity"]
