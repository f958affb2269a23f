"""Runs jobs on a Kubernetes cluster, in one namespace, by the official API."""
