"""Kafka: events, and connectors' sources. What it needs is imported when something is opened, so
that definitions do without.

`kafka://[user:password@]host:port[,host:port][/prefix][?option=value&...]`: the prefix, and a dot,
begin the names of the topics and groups, so that several deployments may share a cluster. A port
left out is 9092. What is special in a user, password or file is
percent-encoded. The options:

    ssl            true: speak TLS; the default is false
    cafile         PEM file of the authorities to trust, in place of the system's; for ssl=true, as
    the next three certfile       PEM file of this client's certificate, where brokers ask for one
    keyfile        PEM file of its key, without a password; left out, it is in the certfile
    check_hostname false: take a certificate of another host name; the default is true mechanism
    of SASL: PLAIN (the default where a user is named), SCRAM-SHA-256 or SCRAM-SHA-512 replication
    replicas of each topic that is made; the default is the brokers' own timeout        seconds in
    which a broker must answer, and within which events are sent or given up; the default is 5
"""

from workflow_ray_adapters.kafka.adapter import KafkaAdapter
from workflow_ray_adapters.kafka.source import KafkaSource

__all__ = ["KafkaAdapter", "KafkaSource"]
