"""Kafka: events, and sources of connectors.

Its client library is imported when something is opened, so that definitions work without it.

`kafka://[user:password@]host:port[,host:port][/prefix][?option=value&...]`

The names of topics and groups begin with the prefix and a dot, so that several deployments may
share a cluster. The default port is 9092. Special characters in a user, password or file are
percent-encoded. The options:

    ssl             true: use TLS; the default is false
    cafile          PEM file of the authorities to trust instead of the system's; needs ssl=true, as
                    the next three do
    certfile        PEM file of this client's certificate, if the brokers require one
    keyfile         PEM file of its key, without a password; by default it is in the certfile
    check_hostname  false: accept a certificate of another host name; the default is true
    mechanism       of SASL: PLAIN (the default if there is a user), SCRAM-SHA-256 or SCRAM-SHA-512
    replication     replicas of each topic that is created; by default as the brokers are set
    timeout         seconds in which a broker must answer and events must be sent; the default is 5
"""

from workflow_ray_adapters.kafka.adapter import KafkaAdapter
from workflow_ray_adapters.kafka.source import KafkaSource

__all__ = ["KafkaAdapter", "KafkaSource"]
