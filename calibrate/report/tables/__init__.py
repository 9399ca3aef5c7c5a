"""The figures of a calibration as tables for spreadsheets: CSV files and one XLSX file."""
