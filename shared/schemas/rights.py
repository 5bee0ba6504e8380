"""The rights that access tokens carry."""

from typing import Final

ACCOUNT_READ: Final = "account:read"
ACCOUNT_BUY: Final = "account:buy"
USERS_READ: Final = "users:read"
USERS_MANAGE: Final = "users:manage"
LOG_READ: Final = "log:read"
SETTINGS_MANAGE: Final = "settings:manage"
ROLES_MANAGE: Final = "roles:manage"
TENANT_RIGHTS: Final = (ACCOUNT_READ, ACCOUNT_BUY, USERS_READ, USERS_MANAGE, LOG_READ, SETTINGS_MANAGE, ROLES_MANAGE)
# What routes with these rights show or change concerns people, so that a viewset matters.
ABOUT_PEOPLE: Final = frozenset({USERS_READ, USERS_MANAGE, LOG_READ, ROLES_MANAGE})
OPERATOR: Final = "operator"  # of the vendor: it includes every other right
RIGHTS: Final = (*TENANT_RIGHTS, OPERATOR)
