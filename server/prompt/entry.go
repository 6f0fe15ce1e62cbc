package prompt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// An entry on disk: magic, version, flags, key, the number of ids of head and answer, the ids, a checksum of all of
// it. Little-endian, 32 bits each but the key. Bytes from a disk are untrusted: DecodeEntry takes nothing on faith.
const (
	entryMagic   = 0x72656331 // "rec1"
	entryHeader  = 4 + 4 + 32 + 4 + 4
	entryLoose   = 1
	entryEchoed  = 2
	maxEntryIDs  = 1 << 24
	entryTrailer = 4
)

// AppendBinary appends the entry's bytes.
func (e Entry) AppendBinary(b []byte) ([]byte, error) {
	if len(e.Head) > maxEntryIDs || len(e.IDs) > maxEntryIDs {
		return b, fmt.Errorf("an answer of %d tokens is beyond %d", len(e.IDs), maxEntryIDs)
	}
	start := len(b)
	b = slices.Grow(b, entryHeader+4*(len(e.Head)+len(e.IDs))+entryTrailer)
	b = binary.LittleEndian.AppendUint32(b, entryMagic)
	flags := uint32(0)
	if e.Loose {
		flags |= entryLoose
	}
	if e.Echoed {
		flags |= entryEchoed
	}
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, e.Key[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Head)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.IDs)))
	for _, ids := range [][]int32{e.Head, e.IDs} {
		for _, id := range ids {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:])), nil
}

// Errors of DecodeEntry.
var (
	ErrShortEntry = errors.New("the record ends within an entry")
	ErrBadEntry   = errors.New("not an entry of the record, or a damaged one")
)

// DecodeEntry reads the entry that b begins with, and says how many bytes it took.
func DecodeEntry(b []byte) (e Entry, size int, err error) {
	if len(b) < entryHeader {
		return e, 0, ErrShortEntry
	}
	word := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	head, ids, flags := word(40), word(44), word(4)
	if word(0) != entryMagic || head > maxEntryIDs || ids > maxEntryIDs || flags > entryLoose|entryEchoed {
		return e, 0, ErrBadEntry
	}
	size = entryHeader + 4*int(head+ids) + entryTrailer
	if len(b) < size {
		return e, 0, ErrShortEntry
	}
	if crc32.ChecksumIEEE(b[:size-entryTrailer]) != word(size-entryTrailer) {
		return e, 0, ErrBadEntry
	}
	e.Loose, e.Echoed = flags&entryLoose != 0, flags&entryEchoed != 0
	copy(e.Key[:], b[8:40])
	all := make([]int32, head+ids)
	for i := range all {
		all[i] = int32(word(entryHeader + 4*i))
	}
	e.Head, e.IDs = all[:head:head], all[head:]
	return e, size, nil
}
