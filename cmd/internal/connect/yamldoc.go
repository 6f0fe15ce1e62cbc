package connect

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// yamlDoc is a YAML mapping.
type yamlDoc struct{ root yaml.Node }

func parseYAML(raw []byte) (*yamlDoc, error) {
	d := &yamlDoc{}
	if err := yaml.Unmarshal(raw, &d.root); err != nil {
		return nil, err
	}
	if d.root.Kind == 0 { // an empty file
		d.root = yaml.Node{Kind: yaml.DocumentNode}
	}
	if len(d.root.Content) == 0 || d.root.Content[0].Tag == "!!null" {
		d.root.Content = []*yaml.Node{{Kind: yaml.MappingNode, Tag: "!!map"}}
	}
	if d.root.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("is not a mapping")
	}
	return d, nil
}

// member is the value of key, and where it stands; nil when there is none.
func member(mapping *yaml.Node, key string) (*yaml.Node, int) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return resolved(mapping.Content[i+1]), i
		}
	}
	return nil, -1
}

// resolved is what an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func (d *yamlDoc) get(path ...string) any {
	var v any
	if d.root.Decode(&v) != nil {
		return nil
	}
	return lookup(v, path)
}

func (d *yamlDoc) set(value any, path ...string) error {
	at := d.root.Content[0]
	for _, key := range path[:len(path)-1] {
		next, i := member(at, key)
		switch {
		case next == nil:
			next = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: at.Style}
			at.Content = append(at.Content, name(key), next)
		case next.Kind != yaml.MappingNode:
			next = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			at.Content[i+1] = next
		}
		at = next
	}
	key := path[len(path)-1]
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	if old, i := member(at, key); old != nil {
		node.HeadComment, node.LineComment, node.FootComment = old.HeadComment, old.LineComment, old.FootComment
		at.Content[i+1] = &node
	} else {
		at.Content = append(at.Content, name(key), &node)
	}
	return nil
}

// name is a key, quoted where YAML would read something else than a text.
func name(key string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(key)
	return n
}

func (d *yamlDoc) remove(path ...string) error {
	at := d.root.Content[0]
	for _, key := range path[:len(path)-1] {
		if at, _ = member(at, key); at == nil {
			return nil
		}
	}
	if _, i := member(at, path[len(path)-1]); i >= 0 {
		at.Content = append(at.Content[:i:i], at.Content[i+2:]...)
	}
	return nil
}

func (d *yamlDoc) text() ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&d.root); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}
