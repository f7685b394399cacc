"""Sending one mail."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr

from agolkit.errors import ConnectionTrouble, NotDelivered
from agolkit.notify.notice import Notice
from agolkit.notify.settings import NotifyOptions
from agolkit.notify.web import untrusted

TIMEOUT = 20.0
"""Seconds without a byte: mail servers let strangers wait."""


def send_mail(notice: Notice, options: NotifyOptions, *, trust: ssl.SSLContext) -> None:
    """Return when the mail server has taken the mail for every recipient.

    Raises
    ------
    ConnectionTrouble
        No answer, or one that asks to come again later (4xx). Trying again may help.
    NotDelivered
        The server refuses the sign-in, the mail or a recipient, cannot encrypt, or is not trusted. Final.
    """
    host = options.smtp_host
    try:
        _send(_mail(notice, options), options, trust)
    except ssl.SSLCertVerificationError as error:
        raise untrusted(host, error) from None
    except smtplib.SMTPAuthenticationError as error:
        raise NotDelivered(f"{host} refuses to sign {options.smtp_username!r} in ({error.smtp_code}).") from None
    except smtplib.SMTPNotSupportedError:
        raise NotDelivered(
            f"{host} offers no encryption or no sign-in on port {options.port}. Try AGOLKIT_SMTP_SECURITY=tls."
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        said = f"{host} refuses the recipients {', '.join(error.recipients)} ({', '.join(map(str, codes))})."
        raise (ConnectionTrouble if codes[0] < 500 else NotDelivered)(said) from None
    except smtplib.SMTPResponseException as error:
        said = f"{host} refuses the mail with {error.smtp_code}."
        raise (ConnectionTrouble if error.smtp_code < 500 else NotDelivered)(said) from None
    except (smtplib.SMTPException, OSError) as error:
        raise ConnectionTrouble(f"{host} cannot be reached on port {options.port} ({type(error).__name__}).") from None


def _send(mail: EmailMessage, options: NotifyOptions, trust: ssl.SSLContext) -> None:
    host, port = options.smtp_host, options.port
    with (
        smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=trust)
        if options.smtp_security == "tls"
        else smtplib.SMTP(host, port, timeout=TIMEOUT)
    ) as server:
        if options.smtp_security == "starttls":
            server.starttls(context=trust)
        if options.smtp_username:
            server.login(options.smtp_username, options.smtp_password)
        refused = server.send_message(mail, parseaddr(options.mail_from)[1])
    if refused:
        raise NotDelivered(f"{host} took the mail, but not for {', '.join(refused)}.")


def _mail(notice: Notice, options: NotifyOptions) -> EmailMessage:
    mail = EmailMessage(SMTP)
    mail["Subject"] = notice.subject
    mail["From"] = options.mail_from
    mail["To"] = ", ".join(options.mail_to)
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain=parseaddr(options.mail_from)[1].rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # no holiday notice answers it
    mail.set_content(notice.text)
    mail.add_alternative(notice.html, subtype="html")
    return mail
