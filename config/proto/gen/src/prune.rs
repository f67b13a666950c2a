//! Keeps of a descriptor set what the roots reach.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// The only services whose client and server code we generate; of others only the messages.
const SERVICES: &[&str] = &[".envoy.service.discovery.v3.AggregatedDiscoveryService"];

/// Full names (with a leading dot) to what they refer to, and to what they are nested in.
#[derive(Default)]
struct Graph {
    refers_to: HashMap<String, Vec<String>>,
    nested_in: HashMap<String, String>,
}

/// Drops all messages, enums and services that no root needs, and all comments.
pub(crate) fn closure<'a>(
    mut files: FileDescriptorSet,
    roots: impl Iterator<Item = &'a str>,
) -> Result<FileDescriptorSet> {
    let graph = graph(&files);
    let mut queue: Vec<String> = roots.map(|root| format!(".{root}")).collect();
    let missing: Vec<_> =
        queue.iter().filter(|root| !graph.refers_to.contains_key(*root)).collect();
    anyhow::ensure!(missing.is_empty(), "no message or service is named {missing:?}");
    let mut kept = HashSet::new();
    while let Some(name) = queue.pop() {
        if !kept.insert(name.clone()) {
            continue;
        }
        queue.extend(graph.refers_to.get(&name).into_iter().flatten().cloned());
        queue.extend(graph.nested_in.get(&name).cloned());
    }

    for file in &mut files.file {
        let package = format!(".{}", file.package());
        file.source_code_info = None;
        file.extension.clear();
        file.message_type.retain(|message| kept.contains(&format!("{package}.{}", message.name())));
        file.enum_type.retain(|item| kept.contains(&format!("{package}.{}", item.name())));
        file.service
            .retain(|service| SERVICES.contains(&format!("{package}.{}", service.name()).as_str()));
        for message in &mut file.message_type {
            prune(&package, message, &kept);
        }
    }
    files.file.retain(|file| {
        !(file.message_type.is_empty() && file.enum_type.is_empty() && file.service.is_empty())
    });
    // The code generator looks types up by name in the whole set, never by import.
    for file in &mut files.file {
        file.dependency.clear();
        file.public_dependency.clear();
        file.weak_dependency.clear();
    }
    Ok(files)
}

fn graph(files: &FileDescriptorSet) -> Graph {
    let mut graph = Graph::default();
    for file in &files.file {
        let package = format!(".{}", file.package());
        for message in &file.message_type {
            add(&mut graph, &package, message);
        }
        for item in &file.enum_type {
            graph.refers_to.insert(format!("{package}.{}", item.name()), Vec::new());
        }
        for service in &file.service {
            let messages = service.method.iter();
            let messages = messages
                .flat_map(|method| {
                    [method.input_type().to_owned(), method.output_type().to_owned()]
                })
                .collect();
            graph.refers_to.insert(format!("{package}.{}", service.name()), messages);
        }
    }
    graph
}

fn add(graph: &mut Graph, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    let types = message.field.iter().map(|field| field.type_name().to_owned());
    graph.refers_to.insert(name.clone(), types.filter(|name| !name.is_empty()).collect());
    for nested in &message.nested_type {
        graph.nested_in.insert(format!("{name}.{}", nested.name()), name.clone());
        add(graph, &name, nested);
    }
    for nested in &message.enum_type {
        let nested = format!("{name}.{}", nested.name());
        graph.refers_to.insert(nested.clone(), Vec::new());
        graph.nested_in.insert(nested, name.clone());
    }
}

fn prune(scope: &str, message: &mut DescriptorProto, kept: &HashSet<String>) {
    let name = format!("{scope}.{}", message.name());
    message.nested_type.retain(|nested| kept.contains(&format!("{name}.{}", nested.name())));
    message.enum_type.retain(|nested| kept.contains(&format!("{name}.{}", nested.name())));
    for nested in &mut message.nested_type {
        prune(&name, nested, kept);
    }
}
