"""python -m iterpref.doctor"""

from iterpref.doctor import main

if __name__ == "__main__":
    main()
