"""Writes ../casing.go: run `python3 make_casing.py > ../casing.go && gofmt -w ../casing.go` (Python 3.11, Unicode 14)."""


def table(name, method, doc):
    print(f"// {name} {doc}\nvar {name} = map[rune]string{{")
    for cp in range(0x110000):
        if 0xD800 <= cp < 0xE000:
            continue
        mapped = getattr(chr(cp), method)()
        if len(mapped) > 1:
            escaped = "".join("\\u%04x" % ord(c) for c in mapped)
            print("\t'\\u%04x': \"%s\", // %s" % (cp, escaped, chr(cp)))
    print("}\n")


print("""package jinja

// Letters whose upper or title case is more than one letter (Unicode's
// SpecialCasing.txt, the unconditional part). Written by
// testdata/make_casing.py; Go's unicode package has the one-letter mappings only.
""")
table("specialUpper", "upper", "maps a letter to its upper case.")
table("specialTitle", "title", "maps a letter to its title case.")
