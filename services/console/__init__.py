"""The pages for a tenant's administrators and the vendor's operators. They have no data of their own and call the other services' REST."""
