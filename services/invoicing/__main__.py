from services.invoicing.main import main

main()
