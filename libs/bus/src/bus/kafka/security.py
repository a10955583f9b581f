"""From settings to what FastStream and aiokafka call security: TLS, SASL, both or neither."""

from __future__ import annotations

import ssl

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from runtime.settings import TLS_SCHEME, BadSettings, ServiceSettings

_MECHANISMS = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


def from_settings(settings: ServiceSettings) -> BaseSecurity | None:
    """None for plain text without a user. Raises BadSettings for a file that is no PEM."""
    encrypted = settings.log_url.startswith(f"{TLS_SCHEME}:")
    context = _context(settings) if encrypted else None
    if settings.log_sasl_mechanism is None:
        return BaseSecurity(context) if encrypted else None
    assert settings.log_username is not None, "the settings see to it"
    assert settings.log_password is not None, "the settings see to it"
    password = settings.log_password.get_secret_value()
    return _MECHANISMS[settings.log_sasl_mechanism](settings.log_username, password, context)


def _context(settings: ServiceSettings) -> ssl.SSLContext:
    """Verifies the broker's certificate and its host name; both cannot be switched off."""
    try:
        context = ssl.create_default_context(cafile=settings.log_ca_file)
    except OSError as error:  # an SSLError is one
        raise BadSettings(f"LIMELIGHT_LOG_CA_FILE: no PEM of a CA: {error}") from error
    if settings.log_cert_file is not None:
        try:
            context.load_cert_chain(settings.log_cert_file, settings.log_key_file)
        except OSError as error:
            raise BadSettings(
                "LIMELIGHT_LOG_CERT_FILE, LIMELIGHT_LOG_KEY_FILE: no PEM of a certificate and its"
                f" private key: {error}"
            ) from error
    return context
