"""A FastAPI application: `GET /hello/` greets the person whose session token is sent.

uvicorn app:app
"""

from fastapi import FastAPI
from rollcall_auth import CurrentPerson, lifespan

app = FastAPI(lifespan=lifespan)


@app.get("/hello/")
async def hello(person: CurrentPerson) -> dict[str, str]:
    return {"id": person["sub"], "name": person["claims"]["name"]}
