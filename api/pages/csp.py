"""The Content-Security-Policies of pages (CSP level 3). All other responses have `SECURE_CSP`.

Inline scripts and styles of libraries are allowed by their hashes, which change with the library:
tests/api/pages/test_csp.py compares them with the pages.
"""

from django.utils.csp import CSP

type Policy = dict[str, list[str] | str]

PAGE: Policy = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "connect-src": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
# The preview of messages, and an e-mail in its frame: as mail programs show it, without scripts.
PREVIEW: Policy = PAGE | {"frame-src": [CSP.SELF]}
FRAMED_EMAIL: Policy = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "frame-ancestors": [CSP.SELF],
    "sandbox": "",  # without exceptions
}
_SWAGGER_UI_STYLE = "'sha256-MMpT0iDxyjALd9PdfepImGX3DBfJPXZ4IlDWdPAgtn0='"
DOCUMENTATION: Policy = PAGE | {"style-src": [CSP.SELF, _SWAGGER_UI_STYLE]}
_HUEY_SCRIPT = "'sha256-JLTZtC+e/PqY90N0dgXNx6ekb3GfqKl61ONnQ/H3Z44='"
_HUEY_QUESTION = (
    "'sha256-V0pFJu110oJrCHnjtIIgUSeZqHw5opmoo34CiNWX7x4='"  # before the queue is flushed
)
_HUEY_STYLES = [
    "'sha256-ztY8Nt5FBR0S8qQ4uNSeaFVvWit402lDuOtI7lt2HcQ='",  # of all its pages
    "'sha256-Z47LVhZoHk9fNZEcxskkZ95AhgjnvQWoaWiEdP3cvo8='",  # of its events
]
ADMIN: Policy = PAGE | {
    "script-src": [CSP.SELF, _HUEY_SCRIPT, CSP.UNSAFE_HASHES, _HUEY_QUESTION],
    "style-src": [CSP.SELF, *_HUEY_STYLES],
    "form-action": [CSP.SELF],
}
