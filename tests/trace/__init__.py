"""The record of a decode: written, stored, read, checked and measured."""
